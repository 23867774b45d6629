"""ResNet for small images. He, Zhang, Ren, Sun 2016, Deep Residual Learning for Image Recognition, sec. 4.2.

Depth 6 n + 2: a 3 x 3 convolution, then three stages of n blocks with 16, 32, 64 channels on maps of 32, 16, 8 pixels.
The paper has n = 3, 5, 7, 9, 18 (20 to 110); depths 8 and 14 (n = 1, 2) continue the row for very small data. Shortcuts
are its option A, free of parameters: every second pixel, and zeros for the channels that are new. Compared against the
paper's counts (0.27 M for ResNet-20, 0.85 M for ResNet-56, table 6) and `akamaster/pytorch_resnet_cifar10:resnet.py`,
from which we differ in that the new channels stand after the old ones, not half before and half after.

Other sizes: images of twice 32 pixels or more are first shrunk by averaging blocks, so that the maps stay within 32 to
63 pixels and a step's time within bounds; for large images, `resnet` is the network to take. Smaller ones go in as they
are.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from quintet.models.bounds import PositiveInt
from quintet.models.cnn.resnet import BasicBlock
from quintet.models.layers.encoded import Encoded


class PadShortcut(nn.Module):
    """Option A: halve the map by leaving out pixels, double the channels by zeros."""

    def forward(self, maps: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 2*c h_half w_half"]:
        maps = maps[:, :, ::2, ::2]
        return F.pad(maps, (0, 0, 0, 0, 0, maps.shape[1]))


class ResNetCifar(nn.Module):
    """Three stages of basic blocks and the average of the last map; `width` is the first stage's channels."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        depth: Literal[8, 14, 20, 32, 44, 56, 110] = 20,
        width: PositiveInt = 16,
    ) -> None:
        super().__init__()
        channels, *sides = shape
        block = max(1, min(sides) // 32)
        self.stem = nn.Sequential(
            nn.AvgPool2d(block) if block > 1 else nn.Identity(),
            nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        num_blocks = (depth - 2) // 6
        blocks: list[nn.Module] = []
        for stage, channels in enumerate((width, 2 * width, 4 * width)):
            for index in range(num_blocks):
                if stage > 0 and index == 0:
                    blocks.append(BasicBlock(channels // 2, channels, stride=2, shortcut=PadShortcut()))
                else:
                    blocks.append(BasicBlock(channels, channels, stride=1, shortcut=nn.Identity()))
        self.blocks = nn.Sequential(*blocks)
        self.pooled_dim = self.position_dim = 4 * width
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Encoded:
        maps = self.blocks(self.stem(images))
        return Encoded(maps.mean((2, 3)), rearrange(maps, "b c h w -> b (h w) c"))
