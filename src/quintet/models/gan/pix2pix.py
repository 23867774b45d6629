"""pix2pix. Isola, Zhu, Zhou, Efros 2017, Image-to-Image Translation with Conditional Adversarial Networks, appendix
6.1.

A U-Net that translates, C64-C128-C256-C512 x 5 and back with skips, and a discriminator that judges patches of 70 x
70 pixels (PatchGAN) of input and result together. Compared against the authors' PyTorch code
(`junyanz/pytorch-CycleGAN-and-pix2pix: models/networks.py`) by its parameter counts, 54.414 M and 2.769 M for 3 x 256
x 256. We differ in one thing: dropout, the paper's only noise, acts in training alone, so that a translation is the
same each time.

Other sizes: the U-Net has as many levels as the image can be halved, eight at most. The discriminator halves up to
three times, as long as 4 pixels are left; a small image is then judged by a few patches that overlap.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from quintet.models.bounds import PositiveInt, Probability


class UNet(nn.Module):
    """Halvings of the image and doublings back, each of which also sees the map of its own size (figure 3)."""

    def __init__(self, shape: tuple[int, int, int], width: int, dropout: float) -> None:
        super().__init__()
        channels, *sides = shape
        levels = min(8, int(math.log2(min(sides))))
        # Channels and sides of the map that goes into each level; 512 at most, as in the paper.
        widths = [channels, *(min(width * 2**level, 8 * width) for level in range(levels))]
        maps = [(sides[0], sides[1])]
        for _ in range(levels):
            maps.append((maps[-1][0] // 2, maps[-1][1] // 2))
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level in range(levels):
            innermost, outermost = level == levels - 1, level == 0
            conv = nn.Conv2d(widths[level], widths[level + 1], 4, stride=2, padding=1, bias=False)
            before = [] if outermost else [nn.LeakyReLU(0.2)]
            after = [] if outermost or innermost else [nn.BatchNorm2d(widths[level + 1])]
            self.down.append(nn.Sequential(*before, conv, *after))
            entering = widths[level + 1] * (1 if innermost else 2)
            height, wide = maps[level]
            extra = (height - 2 * maps[level + 1][0], wide - 2 * maps[level + 1][1])  # 1 where a side is odd
            back = nn.ConvTranspose2d(
                entering, widths[level], 4, stride=2, padding=1, output_padding=extra, bias=outermost
            )
            # The paper drops out in the three levels inside the innermost one.
            inner = levels - 2 - level
            drop = [nn.Dropout(dropout)] if 0 <= inner < 3 and not outermost else []
            tail: list[nn.Module] = [nn.Tanh()] if outermost else [nn.BatchNorm2d(widths[level]), *drop]
            self.up.append(nn.Sequential(nn.ReLU(), back, *tail))

    def forward(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        maps = [images]
        for down in self.down:
            maps.append(down(maps[-1]))
        x = maps.pop()
        for level in reversed(range(len(self.up))):
            x = self.up[level](x)
            if level > 0:
                x = torch.cat([maps[level], x], 1)
        return x


class PatchDiscriminator(nn.Module):
    """A logit for each patch: one that overlaps its neighbours, 70 x 70 pixels in a large image (appendix 6.1.2)."""

    def __init__(
        self, channels: int, sides: tuple[int, int], width: int, norm: Literal["batch", "instance"] = "batch"
    ) -> None:
        super().__init__()
        halvings = max(1, min(3, int(math.log2(min(sides) / 4))))
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for index in range(1, halvings + 1):
            before, after = width * 2 ** (index - 1), width * 2**index
            stride = 2 if index < halvings else 1
            layers.append(nn.Conv2d(before, after, 4, stride=stride, padding=1, bias=norm == "instance"))
            layers += [nn.BatchNorm2d(after) if norm == "batch" else nn.InstanceNorm2d(after), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width * 2**halvings, 1, 4, padding=1))

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch 1 rows columns"]:
        logits: Tensor = self.layers(images)
        return logits


class Discriminator(nn.Module):
    """Judges input and result together."""

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        channels, height, wide = shape
        self.patches = PatchDiscriminator(2 * channels, (height, wide), width)

    def forward(
        self, inputs: Float[Tensor, "batch channel height width"], images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch 1 rows columns"]:
        logits: Tensor = self.patches(torch.cat([inputs, images], 1))
        return logits


class Pix2Pix(nn.Module):
    """`width` is the number of channels after the first halving, in both networks."""

    def __init__(self, shape: tuple[int, int, int], *, width: PositiveInt = 64, dropout: Probability = 0.5) -> None:
        super().__init__()
        self.translator = UNet(shape, width, dropout)
        self.discriminator = Discriminator(shape, width)
        draw_normal(self)


def draw_normal(network: nn.Module) -> None:
    """Weights from a normal of deviation 0.02, biases zero, as DCGAN and after it pix2pix and CycleGAN."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, mean=1.0, std=0.02)
