"""DCGAN. Radford, Metz, Chintala 2016, Unsupervised Representation Learning with Deep Convolutional GANs, sec. 3.

Strided convolutions both ways, batch normalisation, ReLU in the generator, leaky ReLU in the discriminator, no
pooling, no dense hidden layers, weights from a normal of deviation 0.02. Compared against
`pytorch/examples:dcgan/main.py` by its parameter counts (3,576,704 and 2,765,568 at 64 x 64); as there, kernels have
4 pixels where the paper has 5, so that every pixel is covered alike (Odena et al. 2016, Deconvolution and
Checkerboard Artifacts).

Other sizes: maps are halved down to `smallest` pixels (28 to 14 to 7), and `width` channels are doubled at each
halving. We differ with `conditional`: the class joins the latent as an embedding (as in Mirza and Osindero 2014), and
the discriminator's logit gains the inner product of its features with the class's embedding (Miyato and Koyama 2018,
cGANs with Projection Discriminator, eq. 3).
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from quintet.models.bounds import PositiveInt
from quintet.models.gan.sizes import pyramid


class Crop(nn.Module):
    """Cut doubled maps to `side`; doubling half of an odd side, rounded up, gives one pixel more."""

    def __init__(self, side: tuple[int, int]) -> None:
        super().__init__()
        self.height, self.width = side

    def forward(self, maps: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c height width"]:
        return maps[..., : self.height, : self.width]


class Generator(nn.Module):
    """A latent, as a map of one pixel, is grown to the smallest map and then doubled up to the image."""

    def __init__(
        self, shape: tuple[int, int, int], num_classes: int, latent_dim: int, width: int, smallest: int
    ) -> None:
        super().__init__()
        channels, *sides = shape
        maps = pyramid(sides, smallest)[::-1]
        self.label = nn.Embedding(num_classes, latent_dim) if num_classes else None
        features = width * 2 ** max(0, len(maps) - 2)
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(latent_dim * (2 if num_classes else 1), features, maps[0], bias=False)
        ]
        for side in maps[1:-1]:
            layers += [nn.BatchNorm2d(features), nn.ReLU()]
            layers += [nn.ConvTranspose2d(features, features // 2, 4, stride=2, padding=1, bias=False), Crop(side)]
            features //= 2
        layers += [nn.BatchNorm2d(features), nn.ReLU()]
        if len(maps) > 1:
            layers += [nn.ConvTranspose2d(features, channels, 4, stride=2, padding=1, bias=False), Crop(maps[-1])]
        else:
            layers.append(nn.Conv2d(features, channels, 3, padding=1, bias=False))
        self.layers = nn.Sequential(*layers, nn.Tanh())

    def forward(
        self, latent: Float[Tensor, "batch latent_dim"], labels: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch channel height width"]:
        if self.label is not None:
            latent = torch.cat([latent, self.label(labels)], 1)
        images: Tensor = self.layers(rearrange(latent, "b d -> b d 1 1"))
        return images


class Discriminator(nn.Module):
    """The image is halved down to the smallest map, which one convolution takes to a logit."""

    def __init__(self, shape: tuple[int, int, int], num_classes: int, width: int, smallest: int) -> None:
        super().__init__()
        channels, *sides = shape
        halvings = max(1, len(pyramid(sides, smallest)) - 1)
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1, bias=False), nn.LeakyReLU(0.2)]
        for index in range(1, halvings):
            features = width * 2**index
            layers += [nn.Conv2d(features // 2, features, 4, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(features), nn.LeakyReLU(0.2)]
        self.features = nn.Sequential(*layers)
        features = width * 2 ** (halvings - 1)
        last = (sides[0] >> halvings, sides[1] >> halvings)  # a strided convolution rounds down
        self.logit = nn.Conv2d(features, 1, last, bias=False)
        self.label = nn.Embedding(num_classes, features) if num_classes else None

    def forward(
        self, images: Float[Tensor, "batch channel height width"], labels: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, " batch"]:
        maps = self.features(images)
        logit: Tensor = self.logit(maps).flatten()
        if self.label is not None:
            logit = logit + (self.label(labels) * maps.sum((2, 3))).sum(1)
        return logit


class DCGAN(nn.Module):
    """`width` channels in the largest hidden maps of both networks, `smallest` pixels in the last one."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_classes: int,
        *,
        latent_dim: PositiveInt = 100,
        width: PositiveInt = 64,
        smallest: PositiveInt = 4,
        conditional: bool = False,
    ) -> None:
        super().__init__()
        self.latent_dim, self.conditional = latent_dim, conditional
        known = num_classes if conditional else 0
        self.generator = Generator(shape, known, latent_dim, width, smallest)
        self.discriminator = Discriminator(shape, known, width, smallest)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, std=0.02)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, mean=1.0, std=0.02)
        if self.discriminator.label is not None:
            # At first the class says nothing; features are many, and their sum over the map is large.
            nn.init.normal_(self.discriminator.label.weight, std=0.02)

    def generate(
        self, latent: Float[Tensor, "batch latent_dim"], labels: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch channel height width"]:
        images: Tensor = self.generator(latent, labels)
        return images
