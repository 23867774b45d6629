"""GRU. Cho et al. 2014, Learning Phrase Representations using RNN Encoder-Decoder, sec. 2.3.

    r, z = sigmoid(W x + U h + b), each its own     n = tanh(W x + b + r (U h + b'))
    h' = (1 - z) n + z h

torch.nn.GRU computes it (gates in the order r, z, n); a test holds its output against these equations. Like torch, we
differ from the paper in that the reset gate multiplies U h + b', not h: all of U h is then one matrix product per step.
Weights: U orthogonal and W Glorot, gate by gate; biases zero. No paper fixes the size; 128 units serve images by rows.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

from quintet.models.bounds import PositiveInt, Probability
from quintet.models.rnn.recurrent import Recurrent


class GRU(Recurrent):
    """`num_layers` GRU layers over a series or a text, read out as `pooling` says."""

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        hidden_size: PositiveInt = 128,
        embed_dim: PositiveInt | None = None,
        num_layers: PositiveInt = 1,
        bidirectional: bool = False,
        dropout: Probability = 0.0,
        pooling: Literal["last", "mean"] = "last",
    ) -> None:
        super().__init__(
            nn.GRU,
            shape,
            hidden_size=hidden_size,
            embed_dim=embed_dim,
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout=dropout,
            pooling=pooling,
        )
        for name, parameter in self.recurrence.named_parameters():
            if name.startswith("bias"):
                nn.init.zeros_(parameter)
            else:
                draw = nn.init.orthogonal_ if name.startswith("weight_hh") else nn.init.xavier_uniform_
                for gate in parameter.chunk(3):
                    draw(gate)
