"""The plain recurrent network. Elman 1990, Finding Structure in Time; h' = tanh(W x + U h + b).

torch.nn.RNN computes it; a test holds its output against the equation above. We differ from Elman, whose network
was trained one step back: gradients go back through all steps, and weights are drawn so that they survive this.
- tanh: U orthogonal (Saxe et al. 2014), W Glorot.
- relu: U the identity, W normal with deviation 0.001 (Le, Jaitly, Hinton 2015, A Simple Way to Initialize Recurrent
  Networks of Rectified Linear Units, sec. 3 and 4.2, the "IRNN").
torch adds two biases where the equation has one; both start at zero. No paper fixes the size; 128 units serve images
by rows.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

from quintet.models.bounds import PositiveInt, Probability
from quintet.models.rnn.recurrent import Recurrent


class RNN(Recurrent):
    """`num_layers` plain recurrent layers over a series or a text, read out as `pooling` says."""

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        hidden_size: PositiveInt = 128,
        embed_dim: PositiveInt | None = None,
        num_layers: PositiveInt = 1,
        activation: Literal["tanh", "relu"] = "tanh",
        bidirectional: bool = False,
        dropout: Probability = 0.0,
        pooling: Literal["last", "mean"] = "last",
    ) -> None:
        super().__init__(
            nn.RNN,
            shape,
            hidden_size=hidden_size,
            embed_dim=embed_dim,
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout=dropout,
            pooling=pooling,
            nonlinearity=activation,
        )
        for name, parameter in self.recurrence.named_parameters():
            if name.startswith("bias"):
                nn.init.zeros_(parameter)
            elif name.startswith("weight_hh"):
                if activation == "relu":
                    nn.init.eye_(parameter)
                else:
                    nn.init.orthogonal_(parameter)
            elif activation == "relu":
                nn.init.normal_(parameter, std=0.001)
            else:
                nn.init.xavier_uniform_(parameter)
