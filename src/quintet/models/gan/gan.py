"""GAN. Goodfellow et al. 2014, Generative Adversarial Networks, sec. 5: the multilayer perceptrons for MNIST.

The paper gives no sizes; they are those of its code (`goodfeli/adversarial:mnist.yaml`): a generator with two layers
of 1200 rectified units, a discriminator with two layers of 240 maxout units of 5 pieces each and dropout. We differ:
- Latents are normal, not uniform, and images lie between -1 and 1 (tanh, not a sigmoid), as for all generators here.
- Weights are drawn by He et al. 2015, not from a uniform +-0.05, which would fit one size of layer only.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from quintet.models.bounds import PositiveInt, Probability


class Maxout(nn.Module):
    """The largest of `pieces` linear functions for each output (Goodfellow et al. 2013, Maxout Networks, sec. 3)."""

    def __init__(self, in_features: int, out_features: int, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces
        self.linear = nn.Linear(in_features, out_features * pieces)
        nn.init.normal_(self.linear.weight, std=math.sqrt(1 / in_features))
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Float[Tensor, "batch in_features"]) -> Float[Tensor, "batch out_features"]:
        pieces: Tensor = rearrange(self.linear(x), "b (f p) -> b f p", p=self.pieces)
        return pieces.amax(-1)


def rectified(in_features: int, out_features: int) -> nn.Sequential:
    """A linear layer and ReLU, drawn so that the signal keeps its size."""
    linear = nn.Linear(in_features, out_features)
    nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
    nn.init.zeros_(linear.bias)
    return nn.Sequential(linear, nn.ReLU())


class Generator(nn.Module):
    """Latents through two rectified layers to pixels."""

    def __init__(self, shape: tuple[int, int, int], latent_dim: int, hidden_size: int) -> None:
        super().__init__()
        self.shape = shape
        self.layers = nn.Sequential(
            rectified(latent_dim, hidden_size),
            rectified(hidden_size, hidden_size),
            nn.Linear(hidden_size, math.prod(shape)),
            nn.Tanh(),
            nn.Unflatten(1, shape),
        )

    def forward(
        self, latent: Float[Tensor, "batch latent_dim"], labels: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch channel height width"]:
        images: Tensor = self.layers(latent)
        return images


class Discriminator(nn.Module):
    """Pixels through two maxout layers, with dropout before each, to one logit."""

    def __init__(self, shape: tuple[int, int, int], units: int, pieces: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            # The code keeps 8 of 10 inputs and 5 of 10 hidden units; one setting moves both.
            nn.Dropout(0.4 * dropout),
            Maxout(math.prod(shape), units, pieces),
            nn.Dropout(dropout),
            Maxout(units, units, pieces),
            nn.Dropout(dropout),
            nn.Linear(units, 1),
        )

    def forward(
        self, images: Float[Tensor, "batch channel height width"], labels: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, " batch"]:
        return torch.squeeze(self.layers(images), 1)


class GAN(nn.Module):
    """`hidden_size` is the generator's width, `units` and `pieces` are those of the discriminator's maxout layers."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_classes: int,
        *,
        latent_dim: PositiveInt = 100,
        hidden_size: PositiveInt = 1200,
        units: PositiveInt = 240,
        pieces: PositiveInt = 5,
        dropout: Probability = 0.5,
    ) -> None:
        super().__init__()
        self.latent_dim, self.conditional = latent_dim, False
        self.generator = Generator(shape, latent_dim, hidden_size)
        self.discriminator = Discriminator(shape, units, pieces, dropout)

    def generate(
        self, latent: Float[Tensor, "batch latent_dim"], labels: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch channel height width"]:
        images: Tensor = self.generator(latent)
        return images
