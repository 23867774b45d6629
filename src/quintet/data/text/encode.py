"""From texts to rows of token ids.

Devlin et al. 2019, sec. 3: a single text becomes `[CLS] a [SEP]`, a pair `[CLS] a [SEP] b [SEP]`. Where a text is
longer than a row, a question's context is read through windows that overlap, as in sec. 4.2 and the
authors' `run_squad.py`; a tagged sentence is cut between words; a text to classify loses its end, which is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from quintet.data.text.pairs import next_pairs
from quintet.data.text.store import Texts
from quintet.data.text.tokenizer import Special, special

# The target of a piece that is not the first of its word: torch's cross-entropy passes it over.
IGNORED = -100


@dataclass(frozen=True)
class EncodedTexts:
    """Rows of tokens, each of one example; an example may have several.

    ids         [row], the example's id
    examples    [row], the example's index in its `Texts`
    inputs      int32 [row time], token ids, padded at the end
    targets     class: int64 [row]
                tags: int64 [row time], the index of a word's tag on its first piece, -100 elsewhere
                span: int64 [row 2], first and last token of the first answer; 0, 0 where it is not all in the window
                next: int64 [row], 1 where the second text follows the first in its document
    offsets     int32 [row time 2], where a token begins and ends in the text, in the context, or in the words joined by
                single spaces; 0, 0 for any other token, a question's included. Empty for next
    words       int32 [row time], which word's first piece it is, -1 for any other; empty unless for tags
    truncated   how many texts, questions or words did not fit and lost their end
    """

    ids: NDArray[np.str_]
    examples: NDArray[np.int64]
    inputs: NDArray[np.int32]
    targets: NDArray[np.int64]
    offsets: NDArray[np.int32]
    words: NDArray[np.int32]
    truncated: int = 0

    def __len__(self) -> int:
        return len(self.ids)


def encode(
    texts: Texts, tokenizer: Tokenizer, length: int, classes: Sequence[str] = (), *, seed: int = 0, pairs: int = 1
) -> EncodedTexts:
    """Every example of `texts` as rows of at most `length` tokens.

    `classes` are the tags that `targets` point into; `seed` draws the pairs of `next`. Documents that give fewer than
    `pairs` are cut again elsewhere until there are as many, as the paper's code does with its `dupe_factor`.
    """
    # A text may say "[SEP]" without meaning it. Only WikiText's unknown words, in `next`, are meant.
    tokenizer.encode_special_tokens = texts.target != "next"
    rows = _Rows(length, special(tokenizer))
    if texts.target == "next":
        _pairs(texts, tokenizer, rows, seed, pairs)
    else:
        {"class": _classes, "tags": _tags, "span": _spans}[texts.target](texts, tokenizer, rows, classes)
    return rows.stacked(texts)


def _batch(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Encoding]:
    found: list[Encoding] = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    return found


class _Rows:
    """Rows while they are collected; their length is only known to be `length` at most."""

    def __init__(self, length: int, marks: Special) -> None:
        self.length, self.marks = length, marks
        self.examples: list[int] = []
        self.inputs: list[list[int]] = []
        self.targets: list[int | list[int]] = []
        self.offsets: list[list[tuple[int, int]]] = []
        self.words: list[list[int]] = []
        self.truncated = 0

    def add(self, example: int, inputs: list[int], target: int | list[int]) -> None:
        assert len(inputs) <= self.length, (len(inputs), self.length)
        self.examples.append(example)
        self.inputs.append(inputs)
        self.targets.append(target)

    def stacked(self, texts: Texts) -> EncodedTexts:
        count, time = len(self.inputs), self.length
        inputs = np.full((count, time), self.marks.pad, np.int32)
        offsets = np.zeros((count if self.offsets else 0, time, 2), np.int32)
        words = np.full((count if self.words else 0, time), -1, np.int32)
        for row, tokens in enumerate(self.inputs):
            inputs[row, : len(tokens)] = tokens
        for row, places in enumerate(self.offsets):
            offsets[row, : len(places)] = places
        for row, found in enumerate(self.words):
            words[row, : len(found)] = found
        if self.words:
            targets = np.full((count, time), IGNORED, np.int64)
            for row, tags in enumerate(self.targets):
                assert isinstance(tags, list)
                targets[row, : len(tags)] = tags
        else:
            targets = np.array(self.targets, np.int64)
        examples = np.array(self.examples, np.int64)
        ids = np.array(texts.ids, np.str_)[examples]
        return EncodedTexts(ids, examples, inputs, targets, offsets, words, self.truncated)


def _classes(texts: Texts, tokenizer: Tokenizer, rows: _Rows, classes: Sequence[str]) -> None:
    room = rows.length - 2
    for index, (found, target) in enumerate(zip(_batch(tokenizer, texts["text"]), texts["target"], strict=True)):
        rows.truncated += len(found.ids) > room
        rows.add(index, [rows.marks.first, *found.ids[:room], rows.marks.separator], target)
        rows.offsets.append([(0, 0), *found.offsets[:room]])


def _tags(texts: Texts, tokenizer: Tokenizer, rows: _Rows, classes: Sequence[str]) -> None:
    room = rows.length - 2
    number = {tag: index for index, tag in enumerate(classes)}
    encodings = tokenizer.encode_batch(texts["words"], is_pretokenized=True, add_special_tokens=False)
    for index, (encoding, words, tags) in enumerate(zip(encodings, texts["words"], texts["tags"], strict=True)):
        pieces = _pieces(encoding, words, rows.marks.unknown)
        starts = np.cumsum([0, *(len(word) + 1 for word in words)]).tolist()
        window: list[int] = []
        for word in range(len(words)):
            rows.truncated += len(pieces[word]) > room
            pieces[word] = pieces[word][:room]
            if sum(len(pieces[w]) for w in window) + len(pieces[word]) > room:
                _tag_window(rows, index, window, pieces, starts, [number[tag] for tag in tags])
                window = []
            window.append(word)
        _tag_window(rows, index, window, pieces, starts, [number[tag] for tag in tags])


_Piece = tuple[int, tuple[int, int]]


def _pieces(encoding: Encoding, words: Sequence[str], unknown: int) -> list[list[_Piece]]:
    """The pieces of each word, with their place in it; a word of which nothing is left (a lone accent) is unknown."""
    pieces: list[list[_Piece]] = [[] for _ in words]
    for token, word, place in zip(encoding.ids, encoding.word_ids, encoding.offsets, strict=True):
        assert word is not None, "no special tokens were asked for"
        pieces[word].append((token, place))
    return [found or [(unknown, (0, len(word)))] for found, word in zip(pieces, words, strict=True)]


def _tag_window(
    rows: _Rows, example: int, window: list[int], pieces: list[list[_Piece]], starts: list[int], tags: list[int]
) -> None:
    inputs, targets, words, offsets = [rows.marks.first], [IGNORED], [-1], [(0, 0)]
    for word in window:
        inputs += [token for token, _ in pieces[word]]
        offsets += [(starts[word] + begin, starts[word] + end) for _, (begin, end) in pieces[word]]
        rest = len(pieces[word]) - 1
        targets += [tags[word]] + [IGNORED] * rest
        words += [word] + [-1] * rest
    rows.add(example, [*inputs, rows.marks.separator], targets)
    rows.offsets.append(offsets)
    rows.words.append(words)


def _spans(texts: Texts, tokenizer: Tokenizer, rows: _Rows, classes: Sequence[str]) -> None:
    # Questions share their contexts: each is cut into tokens once.
    contexts = {text: index for index, text in enumerate(dict.fromkeys(texts["context"]))}
    cut = _batch(tokenizer, list(contexts))
    for index, question in enumerate(_batch(tokenizer, texts["question"])):
        # Half of the row at least is for the context.
        asked = question.ids[: question_room(rows.length)]
        rows.truncated += len(asked) < len(question.ids)
        context = cut[contexts[texts["context"][index]]]
        answer = (-1, -1)  # of a question that someone asks, in no window
        if texts["answers"][index]:
            answer = _token_span(context.offsets, texts["starts"][index][0], texts["answers"][index][0])
        head = [rows.marks.first, *asked, rows.marks.separator]
        room = rows.length - len(head) - 1
        for start in window_starts(len(context.ids), room):
            tokens = context.ids[start : start + room]
            inside = start <= answer[0] and answer[1] < start + len(tokens)
            target = [len(head) + place - start for place in answer] if inside else [0, 0]
            rows.add(index, [*head, *tokens, rows.marks.separator], target)
            rows.offsets.append([(0, 0)] * len(head) + context.offsets[start : start + room])


def question_room(length: int) -> int:
    """How many tokens of a question are read in rows of `length`."""
    return length // 2 - 2


def window_starts(count: int, room: int) -> list[int]:
    """Where windows of `room` tokens begin, each half a window after the last, until all `count` tokens are read."""
    stride = max(1, room // 2)
    return [0, *range(stride, stride * (1 + -(-max(0, count - room) // stride)), stride)]


def _token_span(offsets: Sequence[tuple[int, int]], start: int, answer: str) -> tuple[int, int]:
    """First and last token that stand, in part at least, between two characters of the context."""
    held = [i for i, (begin, end) in enumerate(offsets) if begin < start + len(answer) and end > start]
    assert held, (answer, "an answer of white space alone is refused when it is read")
    return held[0], held[-1]


def _pairs(texts: Texts, tokenizer: Tokenizer, rows: _Rows, seed: int, least: int) -> None:
    marks = rows.marks
    others = {marks.pad, marks.first, marks.separator, marks.mask}
    sentences = iter(_batch(tokenizer, [sentence for document in texts["sentences"] for sentence in document]))
    documents = [
        [[marks.unknown if token in others else token for token in next(sentences).ids] for _ in document]
        for document in texts["sentences"]
    ]
    cut = next_pairs(documents, rows.length, seed)
    found = list(cut)
    while cut and len(found) < least:
        seed += 1
        cut = next_pairs(documents, rows.length, seed)
        found += cut
    for pair in found:
        tokens = [marks.first, *pair.first, marks.separator, *pair.second, marks.separator]
        rows.add(pair.document, tokens, int(pair.is_next))
