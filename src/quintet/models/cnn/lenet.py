"""LeNet-5. LeCun, Bottou, Bengio, Haffner 1998, Gradient-Based Learning Applied to Document Recognition, sec. II-B.

No reference implementation stands in torchvision; parameters are counted against the paper's 60,000. We differ:
- C3 reads all six maps of S2, as every later implementation does; the paper's table I cuts 900 of these weights, to
  save time and break symmetry.
- S2 and S4 pool without the trained factor and bias per map (44 parameters).
- The output layer is the task's linear head with cross-entropy, not distances to drawn digits (end of sec. II-B).
- `activation="relu"` and `pooling="max"` are today's choice and train faster; the defaults are the paper's.

Other sizes than the paper's 32 x 32 (28 x 28 digits with a border of 2): a convolution is padded where its map would
otherwise be smaller than in the paper, so 28 x 28 gives the paper's maps without a border, and 8 x 8 still has two
scales; a pool is left out when a side is 1 pixel. Images of twice 32 pixels or more are first shrunk by averaging
blocks.
"""

from __future__ import annotations

from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from quintet.models.bounds import PositiveInt
from quintet.models.layers.encoded import Encoded


class ScaledTanh(nn.Module):
    """1.7159 tanh(2/3 x), which takes +1 to +1 and -1 to -1 (paper, appendix A)."""

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return 1.7159 * torch.tanh(2 / 3 * x)


class LeNet(nn.Module):
    """Two convolutions with pooling, then two dense layers; `hidden_size` is C5's 120, F6 has 84."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        activation: Literal["tanh", "relu"] = "tanh",
        pooling: Literal["average", "max"] = "average",
        hidden_size: PositiveInt = 120,
    ) -> None:
        super().__init__()
        channels, *sides = shape
        block = max(1, min(sides) // 32)
        sides = [side // block for side in sides]

        layers: list[nn.Module] = [nn.AvgPool2d(block)] if block > 1 else []
        for in_channels, out_channels, paper_side in ((channels, 6, 32), (6, 16, 14)):
            padding = 2 if min(sides) < paper_side else 0
            layers += [nn.Conv2d(in_channels, out_channels, kernel_size=5, padding=padding), _activation(activation)]
            sides = [side + 2 * padding - 4 for side in sides]
            if min(sides) > 1:
                layers.append(nn.AvgPool2d(2) if pooling == "average" else nn.MaxPool2d(2))
                sides = [side // 2 for side in sides]
        self.features = nn.Sequential(*layers)  # C1 S2 C3 S4
        self.dense = nn.Sequential(  # C5 F6
            nn.Linear(16 * sides[0] * sides[1], hidden_size),
            _activation(activation),
            nn.Linear(hidden_size, 84),
            _activation(activation),
        )
        self.position_dim = 16
        self.pooled_dim = 84
        # The paper draws from +-2.4 / fan-in; that leaves little signal after four layers. Variance-keeping draws
        # (Glorot and Bengio 2010; He et al. 2015) keep it. ScaledTanh has slope 1.14 at 0, so it needs no gain.
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                if activation == "relu":
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                else:
                    nn.init.xavier_uniform_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Encoded:
        maps = self.features(images)
        return Encoded(self.dense(maps.flatten(1)), rearrange(maps, "b c h w -> b (h w) c"))


def _activation(name: str) -> nn.Module:
    return ScaledTanh() if name == "tanh" else nn.ReLU()
