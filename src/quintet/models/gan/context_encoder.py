"""Context encoder. Pathak et al. 2016, Context Encoders: Feature Learning by Inpainting, sec. 3 and figure 9.

An encoder of strided convolutions, a layer that connects all pixels within each channel (sec. 3.1), and a decoder
that draws the image; a discriminator sees the result alone, not the context. Reference:
`pathak22/context-encoder:train.lua`, whose channels (64, 64, 128, 256, 512, then 4000 in between for 128 x 128) these
are. We differ:
- The decoder draws the whole image, of which the hole is used, so that a hole can be anywhere (the paper's random
  regions).
- The layer in between is the paper's channel-wise one with a 1 x 1 convolution; the code has a bottleneck of 4000
  channels.

Other sizes: maps are halved down to `smallest` pixels, so an image of 128 x 128 is halved five times, to 4 x 4.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from quintet.models.bounds import PositiveInt
from quintet.models.gan import dcgan
from quintet.models.gan.dcgan import Crop
from quintet.models.gan.pix2pix import draw_normal
from quintet.models.gan.sizes import pyramid


class ChannelWise(nn.Module):
    """Every pixel of a channel from every other of the same channel, then a 1 x 1 convolution across channels."""

    def __init__(self, channels: int, side: tuple[int, int]) -> None:
        super().__init__()
        pixels = math.prod(side)
        self.weight = nn.Parameter(torch.randn(channels, pixels, pixels) / math.sqrt(pixels))
        self.across = nn.Conv2d(channels, channels, 1)

    def forward(self, maps: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        mixed = torch.einsum("bcp,cpq->bcq", maps.flatten(2), self.weight).view_as(maps)
        across: Tensor = self.across(mixed)
        return across


class Translator(nn.Module):
    """An image with a hole to an image without."""

    def __init__(self, shape: tuple[int, int, int], width: int, smallest: int) -> None:
        super().__init__()
        channels, *sides = shape
        maps = pyramid(sides, smallest)
        # 64, 64, 128, 256, 512 for five halvings.
        widths = [width] + [width * 2**index for index in range(len(maps) - 2)]
        layers: list[nn.Module] = []
        for index, features in enumerate(widths):
            before = channels if index == 0 else widths[index - 1]
            odd = (maps[index][0] % 2, maps[index][1] % 2)
            layers += [nn.ZeroPad2d((1, 1 + odd[1], 1, 1 + odd[0])), nn.Conv2d(before, features, 4, stride=2)]
            layers += [nn.BatchNorm2d(features)] if index > 0 else []
            layers.append(nn.LeakyReLU(0.2))
        layers += [ChannelWise(widths[-1], maps[-1]), nn.BatchNorm2d(widths[-1]), nn.ReLU()]
        for index in reversed(range(1, len(widths))):
            layers += [nn.ConvTranspose2d(widths[index], widths[index - 1], 4, stride=2, padding=1), Crop(maps[index])]
            layers += [nn.BatchNorm2d(widths[index - 1]), nn.ReLU()]
        layers += [nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1), Crop(maps[0]), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        whole: Tensor = self.layers(images)
        return whole


class Discriminator(nn.Module):
    """DCGAN's, on the result alone."""

    def __init__(self, shape: tuple[int, int, int], width: int, smallest: int) -> None:
        super().__init__()
        self.judge = dcgan.Discriminator(shape, 0, width, smallest)

    def forward(
        self, inputs: Float[Tensor, "batch channel height width"], images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, " batch"]:
        logits: Tensor = self.judge(images)
        return logits


class ContextEncoder(nn.Module):
    """`width` channels in the largest hidden maps of both networks; for images of 8 pixels or more."""

    def __init__(self, shape: tuple[int, int, int], *, width: PositiveInt = 64, smallest: PositiveInt = 4) -> None:
        super().__init__()
        self.translator = Translator(shape, width, smallest)
        self.discriminator = Discriminator(shape, width, smallest)
        draw_normal(self)
