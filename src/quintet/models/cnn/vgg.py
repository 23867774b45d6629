"""VGG. Simonyan, Zisserman 2015, Very Deep Convolutional Networks for Large-Scale Image Recognition, table 1.

Depths 11, 13, 16, 19 are the paper's configurations A, B, D, E. Compared against torchvision.models.vgg11 to vgg19,
plain and with batch normalisation: same weights, same output at 224 x 224. We differ:
- All weights are drawn as in `draws.py`, to keep the signal's size on small maps too. (The paper starts deep networks
  from trained shallow ones; torchvision draws convolutions by fan-out, dense layers with deviation 0.01, which is right
  for the 25,088 inputs at 224 pixels and six times too small for the 512 at 32.)

Other sizes: a pool is left out once a side is 1 pixel (five pools need 32 pixels), and the dense layers read a map of
at most 7 x 7, the paper's at 224 x 224.
"""

from __future__ import annotations

from typing import Literal

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from quintet.models.bounds import PositiveInt, Probability
from quintet.models.cnn.draws import draw_by_inputs_met
from quintet.models.layers.encoded import Encoded

# Convolutions in each of the five stages.
STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class VGG(nn.Module):
    """Five stages of 3 x 3 convolutions, then two dense layers; `width` is the first stage's channels."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        depth: Literal[11, 13, 16, 19] = 16,
        batch_norm: bool = False,
        width: PositiveInt = 64,
        hidden_size: PositiveInt = 4096,
        dropout: Probability = 0.5,
    ) -> None:
        super().__init__()
        channels, *sides = shape
        layers: list[nn.Module] = []
        for num_convolutions, factor in zip(STAGES[depth], (1, 2, 4, 8, 8), strict=True):
            for _ in range(num_convolutions):
                convolution = nn.Conv2d(channels, factor * width, kernel_size=3, padding=1)
                draw_by_inputs_met(convolution, sides)
                layers.append(convolution)
                if batch_norm:
                    layers.append(nn.BatchNorm2d(factor * width))
                layers.append(nn.ReLU())
                channels = factor * width
            if min(sides) > 1:
                layers.append(nn.MaxPool2d(2))
                sides = [side // 2 for side in sides]
        sides = [min(side, 7) for side in sides]
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(tuple(sides)))
        self.dense = nn.Sequential(
            nn.Linear(channels * sides[0] * sides[1], hidden_size),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_size, hidden_size),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.position_dim = channels
        self.pooled_dim = hidden_size
        for module in self.dense:
            if isinstance(module, nn.Linear):
                draw_by_inputs_met(module)

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Encoded:
        maps = self.features(images)
        return Encoded(self.dense(maps.flatten(1)), rearrange(maps, "b c h w -> b (h w) c"))
