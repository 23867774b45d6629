"""What the encoders of text share.

A text is a row of token ids, padded at the end. Its `shape` is (time, vocabulary, pad, separator): the longest
sequence, the number of tokens there are, the id of [PAD] and that of [SEP]. A single text a is [CLS] a [SEP], a pair
[CLS] a [SEP] b [SEP]. A batch may be shorter than `time`. Every encoder of text promises that more padding changes
nothing for real tokens; what it returns at the positions of padding means nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor


class TextShape(NamedTuple):
    """The four numbers of a text's `shape`, by name."""

    time: int
    vocabulary: int
    pad: int
    separator: int


def mean_over(
    positions: Float[Tensor, "batch time feature"], mask: Bool[Tensor, "batch time"]
) -> Float[Tensor, "batch feature"]:
    """The mean over the positions where `mask` is true; zero where it nowhere is."""
    total = positions.masked_fill(~mask[:, :, None], 0.0).sum(1)
    return total / mask.sum(1, keepdim=True).clamp(min=1)


def segments(tokens: Int[Tensor, "batch time"], separator: int) -> Int[Tensor, "batch time"]:
    """0 up to and including the first separator, 1 after it."""
    is_separator = (tokens == separator).int()
    return ((is_separator.cumsum(1) - is_separator) > 0).long()
