"""Sub-word vocabularies, made by Hugging Face `tokenizers`.

WordPiece as BERT uses it (Devlin et al. 2019, sec. 3; Wu et al. 2016): text is split at white space and
punctuation, words into the longest pieces of the vocabulary. Byte-level BPE as GPT-2 uses it (Radford et
al. 2019, sec. 2.2): any text is a sequence of known pieces, white space included.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from quintet.data.text.store import TOKENIZER
from quintet.errors import UserError

# The library's threads would take cores from the stages that run beside this one.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# In the order of their ids.
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True)
class Special:
    """The ids of the special tokens."""

    pad: int
    unknown: int
    first: int
    separator: int
    mask: int


def special(tokenizer: Tokenizer) -> Special:
    """The ids that a tokenizer gives the special tokens; a UserError if it lacks one of BERT's."""
    ids: list[int] = []
    for token in SPECIAL:
        number = tokenizer.token_to_id(token)
        if number is None:
            raise UserError(TOKENIZER, f"the tokenizer has no {token}", f"it takes one with {' '.join(SPECIAL)}")
        ids.append(number)
    return Special(*ids)


def train_tokenizer(texts: Sequence[str], kind: str, vocabulary: int, lower: bool) -> Tokenizer:
    """A tokenizer of `kind` 'wordpiece' or 'bpe', whose vocabulary of at most that size is made for these texts."""
    return (_wordpiece if kind == "wordpiece" else _bpe)(texts, vocabulary, lower)


def _wordpiece(texts: Sequence[str], vocabulary: int, lower: bool) -> Tokenizer:
    tokenizer = _bert(models.WordPiece(unk_token=SPECIAL[1]), lower)
    alphabet = _alphabet(tokenizer, texts, (vocabulary - len(SPECIAL)) // 2)
    # The trainer numbers the pieces ##x of one letter in the order of a randomly seeded hash table, and breaks
    # ties by these numbers. With all letters given beforehand, the same texts make the same vocabulary.
    given = [*SPECIAL, *alphabet, *(f"##{letter}" for letter in alphabet)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary, special_tokens=given, limit_alphabet=0, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    made = models.WordPiece(tokenizer.get_vocab(with_added_tokens=False), unk_token=SPECIAL[1])
    tokenizer = _bert(made, lower)
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def _bert(model: models.WordPiece, lower: bool) -> Tokenizer:
    tokenizer = Tokenizer(model)
    # Accents go with the case, as in BERT's uncased models.
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower, strip_accents=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _alphabet(tokenizer: Tokenizer, texts: Iterable[str], most: int) -> list[str]:
    """The most frequent characters of the normalised texts, in order."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(tokenizer.normalizer.normalize_str(text))
    letters = [letter for letter in counts if not letter.isspace()]
    return sorted(sorted(letters, key=lambda letter: (-counts[letter], letter))[:most])


def _bpe(texts: Sequence[str], vocabulary: int, lower: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    steps = [normalizers.NFC(), *([normalizers.Lowercase()] if lower else [])]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    # Leaves the white space before a word out of the offsets of its first piece.
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a prepared set, or of any folder with a `tokenizer.json`."""
    file = folder / TOKENIZER
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as e:  # the library raises nothing narrower
        raise UserError(str(file), f"cannot be read ({e})", "give a folder with Hugging Face's tokenizer.json") from e
    # A file may ask for both, and would then cut texts before they are windowed.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
