"""CycleGAN. Zhu, Park, Isola, Efros 2017, Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
Networks.

Two translators, there and back, and a discriminator for each domain (appendix 7.2): c7s1-64, d128, d256, nine
residual blocks, u128, u64, c7s1-3 with instance normalisation and reflected borders; PatchGANs of 70 x 70. Compared
against the authors' code (`junyanz/pytorch-CycleGAN-and-pix2pix:models/networks.py`) by its parameter counts, 11.378
M and 2.765 M for 3 x 256 x 256.

Other sizes: the discriminators are sized as those of `pix2pix`; a translator fits any image of 8 pixels or more.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from quintet.models.bounds import PositiveInt
from quintet.models.gan.pix2pix import PatchDiscriminator, draw_normal


class ResidualBlock(nn.Module):
    """Two convolutions, added to their input."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_conv(features, features, 3), nn.ReLU(), *_conv(features, features, 3))

    def forward(self, maps: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        changed: Tensor = self.layers(maps)
        return maps + changed


class Translator(nn.Module):
    """Two halvings, residual blocks, two doublings."""

    def __init__(self, shape: tuple[int, int, int], width: int, num_blocks: int) -> None:
        super().__init__()
        channels, height, wide = shape
        layers: list[nn.Module] = [*_conv(channels, width, 7), nn.ReLU()]
        maps = [(height, wide)]
        for features in (width, 2 * width):
            layers += [
                nn.Conv2d(features, 2 * features, 3, stride=2, padding=1),
                nn.InstanceNorm2d(2 * features),
                nn.ReLU(),
            ]
            maps.append(((maps[-1][0] + 1) // 2, (maps[-1][1] + 1) // 2))
        layers += [ResidualBlock(4 * width) for _ in range(num_blocks)]
        for index, features in enumerate((4 * width, 2 * width)):
            (small_h, small_w), (h, w) = maps[2 - index], maps[1 - index]
            extra = (h - 2 * small_h + 1, w - 2 * small_w + 1)  # 1 where the side is even
            layers += [
                nn.ConvTranspose2d(features, features // 2, 3, stride=2, padding=1, output_padding=extra),
                nn.InstanceNorm2d(features // 2),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7), nn.Tanh())

    def forward(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        translated: Tensor = self.layers(images)
        return translated


def _conv(in_channels: int, out_channels: int, kernel: int) -> list[nn.Module]:
    return [
        nn.ReflectionPad2d(kernel // 2),
        nn.Conv2d(in_channels, out_channels, kernel),
        nn.InstanceNorm2d(out_channels),
    ]


class OfDomain(nn.ModuleList):
    """A network for each of two domains; each image goes through that of its domain."""

    def forward(
        self, images: Float[Tensor, "batch channel height width"], domains: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch maps rows columns"]:
        order = domains.argsort(stable=True)
        sizes = torch.bincount(domains, minlength=len(self)).tolist()
        parts = zip(self, torch.split(images[order], sizes), strict=True)
        return torch.cat([network(part) for network, part in parts if len(part)])[order.argsort()]


class CycleGAN(nn.Module):
    """`translator` takes images into the domains (0 or 1) that it is told; each domain has its discriminator."""

    # Whoever trains it hands over domains as labels.
    conditional = True

    def __init__(self, shape: tuple[int, int, int], *, width: PositiveInt = 64, num_blocks: PositiveInt = 9) -> None:
        super().__init__()
        channels, height, wide = shape
        self.translator = OfDomain(Translator(shape, width, num_blocks) for _ in range(2))
        self.discriminator = OfDomain(PatchDiscriminator(channels, (height, wide), width, "instance") for _ in range(2))
        draw_normal(self)
