"""ResNet for large images. He, Zhang, Ren, Sun 2016, Deep Residual Learning for Image Recognition, table 1.

Compared against torchvision.models.resnet18, resnet34 and resnet50: same weights, same output from 112 x 112 on. As
there, and unlike the paper, a bottleneck halves the map in its 3 x 3 convolution instead of its first 1 x 1 ("ResNet
v1.5", which loses no pixels). Shortcuts are the paper's option B: projections where the size changes, else identity.

Other sizes: the four stages should see maps of 56 pixels, as from the paper's 224, or at least not far fewer. From 112
pixels on the stem is the paper's, a 7 x 7 convolution of stride 2 and a pool of stride 2; from 56 on it has no pool;
below, it is a 3 x 3 convolution of stride 1, as in the paper's networks for CIFAR-10 (see `resnet_cifar`).
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from quintet.models.bounds import PositiveInt
from quintet.models.layers.encoded import Encoded


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions around which the input is added back by `shortcut` (paper, fig. 2)."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int, shortcut: nn.Module) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut = shortcut

    def forward(self, maps: Float[Tensor, "b c_in h_in w_in"]) -> Float[Tensor, "b c h w"]:
        residual = F.relu(self.norm1(self.conv1(maps)))
        residual = self.norm2(self.conv2(residual))
        return F.relu(residual + self.shortcut(maps))


class Bottleneck(nn.Module):
    """As `BasicBlock`, with the 3 x 3 convolution between a narrowing and a widening 1 x 1 (paper, fig. 5)."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int, shortcut: nn.Module) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, kernel_size=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, self.expansion * channels, kernel_size=1, bias=False)
        self.norm3 = nn.BatchNorm2d(self.expansion * channels)
        self.shortcut = shortcut

    def forward(self, maps: Float[Tensor, "b c_in h_in w_in"]) -> Float[Tensor, "b c h w"]:
        residual = F.relu(self.norm1(self.conv1(maps)))
        residual = F.relu(self.norm2(self.conv2(residual)))
        residual = self.norm3(self.conv3(residual))
        return F.relu(residual + self.shortcut(maps))


# Kind of block, and how many in each of the four stages.
STAGES: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, ...]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
}


class ResNet(nn.Module):
    """A stem, four stages of residual blocks, the average of the last map; `width` is the first stage's channels."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        depth: Literal[18, 34, 50] = 18,
        width: PositiveInt = 64,
    ) -> None:
        super().__init__()
        self.stem = _stem(shape, width)
        block, num_blocks = STAGES[depth]
        blocks: list[nn.Module] = []
        in_channels = width
        for stage, count in enumerate(num_blocks):
            channels = width * 2**stage
            out_channels = channels * block.expansion
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                shortcut: nn.Module = nn.Identity()
                if stride > 1 or in_channels != out_channels:
                    shortcut = nn.Sequential(
                        nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False),
                        nn.BatchNorm2d(out_channels),
                    )
                blocks.append(block(in_channels, channels, stride, shortcut))
                in_channels = out_channels
        self.blocks = nn.Sequential(*blocks)
        self.pooled_dim = self.position_dim = in_channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Encoded:
        maps = self.blocks(self.stem(images))
        return Encoded(maps.mean((2, 3)), rearrange(maps, "b c h w -> b (h w) c"))


def _stem(shape: tuple[int, int, int], width: int) -> nn.Sequential:
    channels, side = shape[0], min(shape[1:])
    if side < 56:
        convolution = nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False)
    else:
        convolution = nn.Conv2d(channels, width, kernel_size=7, stride=2, padding=3, bias=False)
    layers = [convolution, nn.BatchNorm2d(width), nn.ReLU()]
    if side >= 112:
        layers.append(nn.MaxPool2d(kernel_size=3, stride=2, padding=1))
    return nn.Sequential(*layers)
