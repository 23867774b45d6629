"""Answers scored as SQuAD's own program scores them (Rajpurkar et al. 2016, sec. 6.1; `evaluate-v1.1.py`)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(text: str) -> str:
    """Small letters, without ASCII punctuation, then without articles, words parted by single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(said: str, accepted: Sequence[str]) -> float:
    """1 if the answer is one of those accepted, after normalisation."""
    return float(normalised(said) in {normalised(answer) for answer in accepted})


def f1(said: str, accepted: Sequence[str]) -> float:
    """Harmonic mean of precision and recall over words, the best over the accepted answers."""
    return max(_f1(normalised(said).split(), normalised(answer).split()) for answer in accepted)


def _f1(said: list[str], truth: list[str]) -> float:
    same = sum((Counter(said) & Counter(truth)).values())
    return 2 * same / (len(said) + len(truth)) if same else 0.0


class Span(NamedTuple):
    """Characters `begin` to before `end` of the context, and how much speaks for them."""

    score: float
    begin: int
    end: int


def best_span(
    start: NDArray[np.float32], end: NDArray[np.float32], offsets: NDArray[np.int32], longest: int
) -> Span | None:
    """The span of at most `longest` tokens with the highest sum of logits [time]; None if the row has no context.

    `offsets` [time 2] says where each token stands in the context; tokens of no width are none of it.
    """
    context = np.flatnonzero(offsets[:, 1] > offsets[:, 0])
    if not len(context):
        return None
    # The tokens of a context stand side by side.
    first, last = start[context], end[context]
    total = np.full((min(longest, len(context)), len(context)), -np.inf)
    for width in range(len(total)):
        total[width, : len(context) - width] = first[: len(context) - width] + last[width:]
    width, place = divmod(int(total.argmax()), len(context))
    begin, close = context[place], context[place + width]
    return Span(float(total[width, place]), int(offsets[begin, 0]), int(offsets[close, 1]))
