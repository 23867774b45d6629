"""Pairs of texts for next-sentence prediction.

Devlin et al. 2019, sec. 3.1 and appendix A.2; follows `create_instances_from_document` of
google-research/bert:create_pretraining_data.py. Differs in two places. A sentence too long for half a row is cut into
pieces, where BERT drops what is too much. A document of one sentence gives its two halves, where BERT pairs it with
a random text each time: how short the first text is would tell the answer.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

# The share of rows that are filled to a random length only (A.2: short sequences are met in fine-tuning as well).
_SHORT = 0.1


@dataclass(frozen=True)
class Pair:
    """Two texts in token ids; `document` is where the first is from."""

    document: int
    first: list[int]
    second: list[int]
    is_next: bool


def next_pairs(documents: Sequence[Sequence[list[int]]], length: int, seed: int) -> list[Pair]:
    """Pairs that fill rows of `length` with three special tokens; in half of them the second text is from elsewhere.

    `documents` are lists of sentences in token ids. The same seed gives the same pairs.
    """
    draw = random.Random(seed)
    cut = [_cut(document, (length - 3) // 2) for document in documents]
    usable = [index for index, document in enumerate(cut) if len(document) >= 2]
    pairs = []
    for index in usable:
        pairs += _of_document(index, cut, usable, length - 3, draw)
    draw.shuffle(pairs)
    return pairs


def _cut(document: Sequence[list[int]], most: int) -> list[list[int]]:
    """Sentences of at most `most` tokens; one that stands alone is halved."""
    pieces: list[list[int]] = []
    sentences = [sentence for sentence in document if sentence]
    for sentence in sentences:
        count = max(-(-len(sentence) // most), 2 if len(sentences) == 1 and len(sentence) > 1 else 1)
        bounds = [round(i * len(sentence) / count) for i in range(count + 1)]
        pieces += [sentence[a:b] for a, b in pairwise(bounds)]
    return pieces


def _of_document(
    index: int, documents: Sequence[list[list[int]]], usable: Sequence[int], most: int, draw: random.Random
) -> list[Pair]:
    document, pairs, start = documents[index], [], 0
    while start < len(document):
        if start == len(document) - 1:
            # One sentence is left over.
            document = document[:start] + _cut(document[start:], most // 2)
            if start == len(document) - 1:
                break
        target = draw.randint(2, most) if draw.random() < _SHORT else most
        end, tokens = start, 0
        # At least two sentences, so that there is a border between them to ask about.
        while end < len(document) and (end - start < 2 or tokens < target):
            tokens += len(document[end])
            end += 1
        border = draw.randint(start + 1, end - 1)
        first = _joined(document[start:border])
        second = _joined(document[border:end])
        is_next = len(usable) < 2 or draw.random() < 0.5
        if not is_next:
            # As long as the true one, so that the length does not tell; what was not used begins the next pair.
            second, end = _elsewhere(index, documents, usable, len(second), draw), border
        _shorten(first, second, target, draw)
        pairs.append(Pair(index, first, second, is_next))
        start = end
    return pairs


def _joined(sentences: Sequence[list[int]]) -> list[int]:
    return [token for sentence in sentences for token in sentence]


def _elsewhere(
    index: int, documents: Sequence[list[list[int]]], usable: Sequence[int], length: int, draw: random.Random
) -> list[int]:
    """Consecutive sentences from a random place in another document, until they have `length` tokens or it ends."""
    other = index
    while other == index:
        other = draw.choice(usable)
    document, found = documents[other], list[int]()
    place = draw.randrange(len(document))
    while place < len(document) and len(found) < length:
        found += document[place]
        place += 1
    return found


def _shorten(first: list[int], second: list[int], most: int, draw: random.Random) -> None:
    """Take tokens off the longer text, from its front or end at random, until both fit (`truncate_seq_pair`)."""
    while len(first) + len(second) > most:
        longer = first if len(first) > len(second) else second
        if draw.random() < 0.5:
            del longer[0]
        else:
            longer.pop()
