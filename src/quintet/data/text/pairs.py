"""Pairs of texts for next-sentence prediction (Devlin et al. 2019, sec. 3.1 and appendix A.2).

As there, a text is a run of sentences, two of them fill a row, half of the pairs follow each other in a document, and a
tenth of the rows is shorter. Differs from google-research/bert:create_pretraining_data.py in where the other half comes
from: pairs exchange their second texts, where BERT cuts new ones at random places. So both kinds of pairs are made of
the same texts, none is longer or cut otherwise, and only what they say can tell. A sentence longer than half
a row is cut in pieces, a run that is left over in halves, so that all is read but a single last token.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

# The share of rows that are filled to a random length only, since short ones are met in fine-tuning as well (A.2).
_SHORT = 0.1

_Sentence = list[int]


@dataclass(frozen=True)
class Pair:
    """Two texts in token ids; `document` is where the first is from."""

    document: int
    first: list[int]
    second: list[int]
    is_next: bool


def next_pairs(documents: Sequence[Sequence[_Sentence]], length: int, seed: int) -> list[Pair]:
    """Pairs that fit rows of `length` with three special tokens, in random order.

    `documents` are lists of sentences in token ids. The same seed gives the same pairs.
    """
    draw = random.Random(seed)
    pairs = []
    for index, document in enumerate(documents):
        pairs += _of_document(index, document, (length - 3) // 2, draw)
    draw.shuffle(pairs)
    half = len(pairs) // 2
    pairs = _exchanged(pairs[:half]) + pairs[half:]
    draw.shuffle(pairs)
    return pairs


def _of_document(index: int, document: Sequence[_Sentence], most: int, draw: random.Random) -> list[Pair]:
    """True pairs of texts of at most `most` tokens, from front to end."""
    sentences = [piece for sentence in document for piece in _cut(sentence, -(-len(sentence) // most))]
    texts: list[list[_Sentence]] = []
    target = most
    for sentence in sentences:
        if not texts or sum(map(len, texts[-1])) + len(sentence) > target:
            texts.append([])
            # Both texts of a pair have one target; the first is drawn, so that another seed cuts all others elsewhere.
            if len(texts) % 2:
                target = draw.randint(1, most) if len(texts) == 1 or draw.random() < _SHORT else most
        texts[-1].append(sentence)
    if len(texts) % 2:
        last = texts.pop()
        texts += [last[: len(last) // 2], last[len(last) // 2 :]] if len(last) > 1 else [[x] for x in _cut(last[0], 2)]
    runs = [[token for sentence in text for token in sentence] for text in texts]
    return [Pair(index, a, b, True) for a, b in zip(runs[::2], runs[1::2], strict=False) if a and b]


def _cut(sentence: _Sentence, count: int) -> list[_Sentence]:
    """A sentence in `count` parts of about the same length."""
    bounds = [round(i * len(sentence) / count) for i in range(count + 1)] if count else []
    return [sentence[a:b] for a, b in pairwise(bounds)]


def _exchanged(pairs: list[Pair]) -> list[Pair]:
    """The same first texts with each other's second texts, never two of one document.

    Where one document has more than half of the pairs, those that find no other stay as they are.
    """
    ordered = sorted(pairs, key=lambda pair: pair.document)
    largest, count = Counter(pair.document for pair in pairs).most_common(1)[0] if pairs else (0, 0)
    surplus = max(0, 2 * count - len(pairs))
    begin = next((place for place, pair in enumerate(ordered) if pair.document == largest), 0)
    own, ordered = ordered[begin : begin + surplus], ordered[:begin] + ordered[begin + surplus :]
    # In order of documents, each takes the text so many places on as the largest document has: beyond its own.
    shift = count - surplus
    others = ordered[shift:] + ordered[:shift]
    return own + [replace(a, second=b.second, is_next=False) for a, b in zip(ordered, others, strict=True)]
