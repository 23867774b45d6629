"""LSTM. Hochreiter, Schmidhuber 1997, with the forget gate of Gers, Schmidhuber, Cummins 2000; no peepholes.

    i, f, o = sigmoid(W x + U h + b), each its own     g = tanh(W x + U h + b)
    c' = f c + i g                                     h' = o tanh(c')

torch.nn.LSTM computes it (gates in the order i, f, g, o); a test holds its output against these equations. torch adds
two biases where the equations have one. Weights: U orthogonal and W Glorot, gate by gate; the forget gate's bias starts
at 1, so that memory lasts from the first step on (Jozefowicz, Zaremba, Sutskever 2015, An Empirical Exploration of
Recurrent Network Architectures, sec. 2.2), the others at 0. No paper fixes the size; 128 units serve images by rows.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

from quintet.models.bounds import PositiveInt, Probability
from quintet.models.rnn.recurrent import Recurrent


class LSTM(Recurrent):
    """`num_layers` LSTM layers over a series or a text, read out as `pooling` says."""

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
            nn.LSTM,
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
                if name.startswith("bias_ih"):
                    nn.init.ones_(parameter[hidden_size : 2 * hidden_size])
            else:
                draw = nn.init.orthogonal_ if name.startswith("weight_hh") else nn.init.xavier_uniform_
                for gate in parameter.chunk(4):
                    draw(gate)
