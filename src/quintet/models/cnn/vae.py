"""Variational autoencoder. Kingma and Welling 2014, Auto-Encoding Variational Bayes, sec. 3 and appendix C.

The paper's networks are perceptrons; this one has the convolutions of DCGAN without its normalisation, as is usual
for images. The loss is the negative of the bound (eq. 10): what it costs to describe the image given the latent, and
the divergence of the latent's distribution from the prior (appendix B). Pixels are normal about the decoder's output
with one learnt deviation, which sets the balance of the two terms by itself (Rybkin et al. 2021, Simple and Effective
VAE Training with Calibrated Decoders).

`conditional`: the class joins the encoder's features and the latent (Sohn et al. 2015, Learning Structured Output
Representation).
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from quintet.models.bounds import PositiveInt


class VAE(nn.Module):
    """`width` channels after the first halving, doubled at each of the others down to maps of `smallest` pixels."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_classes: int,
        *,
        latent_dim: PositiveInt = 32,
        width: PositiveInt = 32,
        smallest: PositiveInt = 4,
        conditional: bool = False,
    ) -> None:
        super().__init__()
        channels, height, wide = shape
        self.latent_dim, self.conditional, self.num_classes = latent_dim, conditional, num_classes
        known = num_classes if conditional else 0
        sides = [(height, wide)]
        while min(sides[-1]) // 2 >= smallest:
            sides.append(((sides[-1][0] + 1) // 2, (sides[-1][1] + 1) // 2))
        self.sides = sides
        widths = [channels, *(width * 2**index for index in range(len(sides) - 1))]
        self.halvings, self.doublings = nn.ModuleList(), nn.ModuleList()
        for before, after in pairwise(widths):
            # Three pixels and a border of one halve an odd side upwards, as `sides` has it.
            self.halvings.append(nn.Conv2d(before, after, 3, stride=2, padding=1))
            self.doublings.append(nn.ConvTranspose2d(after, before, 4, stride=2, padding=1))
        self.smallest_map = (widths[-1], *sides[-1])
        features = math.prod(self.smallest_map)
        self.posterior = nn.Linear(features + known, 2 * latent_dim)
        self.spread = nn.Linear(latent_dim + known, features)
        self.log_deviation = nn.Parameter(torch.zeros(()))

    def encode(
        self, images: Float[Tensor, "batch channel height width"], labels: Int[Tensor, " batch"] | None
    ) -> tuple[Float[Tensor, "batch latent_dim"], Float[Tensor, "batch latent_dim"]]:
        """Mean and logarithm of the variance of each image's latent."""
        maps = images
        for halve in self.halvings:
            maps = F.relu(halve(maps))
        mean, log_variance = self.posterior(self._with_class(maps.flatten(1), labels)).chunk(2, 1)
        return mean, log_variance

    def generate(
        self, latent: Float[Tensor, "batch latent_dim"], labels: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch channel height width"]:
        """The most likely image of each latent."""
        maps = self.spread(self._with_class(latent, labels)).view(-1, *self.smallest_map)
        for double, (height, width) in zip(reversed(self.doublings), self.sides[-2::-1], strict=True):
            maps = double(F.relu(maps))[..., :height, :width]
        return torch.tanh(maps)

    def loss(
        self, images: Float[Tensor, "batch channel height width"], labels: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, " batch"]:
        mean, log_variance = self.encode(images, labels)
        latent = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        error = (images - self.generate(latent, labels)) / self.log_deviation.exp()
        pixels = 0.5 * (error.square() + math.log(2 * math.pi)) + self.log_deviation
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
        return pixels.flatten(1).sum(1) + divergence.sum(1)

    def _with_class(self, features: Tensor, labels: Tensor | None) -> Tensor:
        if not self.conditional:
            return features
        assert labels is not None, "a conditional network needs labels"
        return torch.cat([features, F.one_hot(labels, self.num_classes).to(features)], 1)
