"""From the states of a recurrent network, one per step, to features of the whole series."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from quintet.models.layers.encoded import Encoded
from quintet.models.layers.words import mean_over


class ReadOut(nn.Module):
    """The last state or the mean of all, after dropout; of texts, those where `mask` is true.

    Of a network that reads both ways the last state is, for each half of the features, the one that
    has seen the whole series: the last step's of the forward half, the first step's of the backward half.
    The dropout is that of Zaremba, Sutskever, Vinyals 2014 (fig. 2) after the last layer; torch's
    recurrent modules apply it between layers only.
    """

    def __init__(self, pooling: Literal["last", "mean"], *, bidirectional: bool, dropout: float) -> None:
        super().__init__()
        self.pooling = pooling
        self.bidirectional = bidirectional
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, states: Float[Tensor, "batch time feature"], mask: Bool[Tensor, "batch time"] | None = None
    ) -> Encoded:
        states = self.dropout(states)
        if self.pooling == "mean":
            return Encoded(states.mean(1) if mask is None else mean_over(states, mask), states)
        last = states[:, -1] if mask is None else states[torch.arange(len(states)), mask.sum(1) - 1]
        if not self.bidirectional:
            return Encoded(last, states)
        forward, _ = last.chunk(2, dim=-1)
        _, backward = states[:, 0].chunk(2, dim=-1)
        return Encoded(torch.cat([forward, backward], dim=-1), states)
