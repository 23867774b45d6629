"""What networks that make images have in common, whatever the family.

Images lie between -1 and 1. A latent vector is drawn from a standard normal distribution; in eval mode it alone (with
the class, where there is one) determines the image, so that a row of images can be followed through a training.
"""

from __future__ import annotations

from typing import Protocol

from jaxtyping import Float, Int
from torch import Tensor, nn


class Makes(Protocol):
    """Latents to images. `conditional` networks need labels, the others take None."""

    latent_dim: int
    conditional: bool

    def generate(
        self, latent: Float[Tensor, "batch latent_dim"], labels: Int[Tensor, " batch"] | None
    ) -> Float[Tensor, "batch channel height width"]: ...


class Adversarial(Makes, Protocol):
    """A generator and a discriminator; the latter gives logits, high for images that it takes for real."""

    generator: nn.Module
    discriminator: nn.Module


class Likelihood(Makes, Protocol):
    """A network with a loss of its own, in nats per image: the negative log-likelihood or a bound on it."""

    def loss(
        self, images: Float[Tensor, "batch channel height width"], labels: Int[Tensor, " batch"] | None
    ) -> Float[Tensor, " batch"]: ...


class Translates(Protocol):
    """Images to images: `translator` and the `discriminator` that judges its results beside its input."""

    translator: nn.Module
    discriminator: nn.Module


class Restyles(Protocol):
    """Images into one of two domains: both take images and their domains, those to reach and those to be judged for."""

    translator: nn.Module
    discriminator: nn.Module
