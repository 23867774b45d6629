"""Conditional GAN. Mirza and Osindero 2014, Conditional Generative Adversarial Nets, sec. 4.1: perceptrons for MNIST.

The sizes are the paper's. Generator: latents to 200 rectified units, the class (as a unit vector) to 1000, both to
1200, those to pixels. Discriminator: the image to 240 maxout units of 5 pieces, the class to 50 of 5, both to 240 of
4, those to a logit. We differ as `gan` does: normal latents, tanh, draws by He et al. 2015.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from quintet.models.bounds import PositiveInt, Probability
from quintet.models.gan.gan import Maxout, rectified


class Generator(nn.Module):
    """A latent and a class, each through a layer of its own, then one together."""

    def __init__(self, shape: tuple[int, int, int], num_classes: int, latent_dim: int, hidden_size: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        from_latent, from_class = math.ceil(hidden_size / 6), math.ceil(hidden_size * 5 / 6)  # 200, 1000 of 1200
        self.latent = rectified(latent_dim, from_latent)
        self.label = rectified(num_classes, from_class)
        self.joint = rectified(from_latent + from_class, hidden_size)
        self.pixels = nn.Sequential(nn.Linear(hidden_size, math.prod(shape)), nn.Tanh(), nn.Unflatten(1, shape))

    def forward(
        self, latent: Float[Tensor, "batch latent_dim"], labels: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch channel height width"]:
        label = F.one_hot(labels, self.num_classes).to(latent)
        images: Tensor = self.pixels(self.joint(torch.cat([self.latent(latent), self.label(label)], 1)))
        return images


class Discriminator(nn.Module):
    """An image and a class, each through maxout units of its own, then together."""

    def __init__(self, shape: tuple[int, int, int], num_classes: int, units: int, dropout: float) -> None:
        super().__init__()
        self.num_classes = num_classes
        label_units = math.ceil(units * 5 / 24)  # 50 of 240
        self.image = nn.Sequential(nn.Flatten(), Maxout(math.prod(shape), units, pieces=5), nn.Dropout(dropout))
        self.label = nn.Sequential(Maxout(num_classes, label_units, pieces=5), nn.Dropout(dropout))
        self.joint = nn.Sequential(
            Maxout(units + label_units, units, pieces=4), nn.Dropout(dropout), nn.Linear(units, 1)
        )

    def forward(
        self, images: Float[Tensor, "batch channel height width"], labels: Int[Tensor, " batch"]
    ) -> Float[Tensor, " batch"]:
        label = F.one_hot(labels, self.num_classes).to(images)
        return torch.squeeze(self.joint(torch.cat([self.image(images), self.label(label)], 1)), 1)


class ConditionalGAN(nn.Module):
    """`hidden_size` is the width of the generator's last hidden layer, `units` that of the discriminator's."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_classes: int,
        *,
        latent_dim: PositiveInt = 100,
        hidden_size: PositiveInt = 1200,
        units: PositiveInt = 240,
        dropout: Probability = 0.5,
    ) -> None:
        super().__init__()
        self.latent_dim, self.conditional = latent_dim, True
        self.generator = Generator(shape, num_classes, latent_dim, hidden_size)
        self.discriminator = Discriminator(shape, num_classes, units, dropout)

    def generate(
        self, latent: Float[Tensor, "batch latent_dim"], labels: Int[Tensor, " batch"] | None
    ) -> Float[Tensor, "batch channel height width"]:
        images: Tensor = self.generator(latent, labels)
        return images
