"""Losses of generators and discriminators, as pure functions, and what steadies their game.

Legend: x real, G(z) made; D gives logits, p = sigmoid(D) the probability of being real. All losses are means over the
batch and are minimised. `real` and `fake` are D(x) and D(G(z)), [batch] or maps of any shape (a PatchGAN's).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Images = Float[Tensor, "batch channel height width"]
Critic = Callable[[Tensor], Tensor]
LossName = Literal["minimax", "non-saturating", "hinge", "wasserstein", "least-squares"]


# -- minimax, Goodfellow et al. 2014, eq. 1:  min_G max_D  E log p(x) + E log(1 - p(G(z)))


def minimax_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """- E log p(x) - E log(1 - p(G(z))): at the optimum of both players log 4."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def minimax_generator(fake: Tensor) -> Tensor:
    """E log(1 - p(G(z))), whose slope vanishes where the discriminator is sure."""
    return -F.softplus(fake).mean()


# -- non-saturating, Goodfellow et al. 2014, sec. 3: the generator maximises log p(G(z)) instead


def non_saturating_generator(fake: Tensor) -> Tensor:
    """- E log p(G(z))."""
    return F.softplus(-fake).mean()


# -- hinge, Lim and Ye 2017, Geometric GAN, eqs. 12 and 13


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """- E D(G(z))."""
    return -fake.mean()


# -- Wasserstein, Arjovsky, Chintala, Bottou 2017, eq. 2; it needs a critic of slope one, see `gradient_penalty`


def wasserstein_critic(real: Tensor, fake: Tensor) -> Tensor:
    """E D(G(z)) - E D(x)."""
    return fake.mean() - real.mean()


# -- least squares, Mao et al. 2017, eq. 9, with the targets 0 and 1; CycleGAN's


def least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """1/2 E (D(x) - 1)^2 + 1/2 E D(G(z))^2."""
    return 0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean()


def least_squares_generator(fake: Tensor) -> Tensor:
    """E (D(G(z)) - 1)^2."""
    return (fake - 1).square().mean()


@dataclass(frozen=True)
class Game:
    """What each player minimises; a verdict above `boundary` says that an image is real."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    boundary: float = 0.0


GAMES: dict[str, Game] = {
    "minimax": Game(minimax_discriminator, minimax_generator),
    "non-saturating": Game(minimax_discriminator, non_saturating_generator),
    "hinge": Game(hinge_discriminator, hinge_generator),
    "wasserstein": Game(wasserstein_critic, hinge_generator),
    "least-squares": Game(least_squares_discriminator, least_squares_generator, boundary=0.5),
}


# -- penalties


def gradient_penalty(critic: Critic, real: Images, fake: Images) -> Tensor:
    """E (|grad D(u)| - 1)^2, u at random between x and G(z) (Gulrajani et al. 2017, eq. 3)."""
    share = torch.rand(len(real), 1, 1, 1, device=real.device, dtype=real.dtype)
    between = torch.lerp(real, fake, share).detach().requires_grad_()
    slope = _gradient(critic(between), between).flatten(1).norm(dim=1)
    penalty: Tensor = (slope - 1).square().mean()
    return penalty


def r1(critic: Critic, real: Images) -> Tensor:
    """1/2 E |grad D(x)|^2 on real images (Mescheder et al. 2018, eq. 9); its weight is the paper's gamma."""
    real = real.detach().requires_grad_()
    return 0.5 * _gradient(critic(real), real).square().flatten(1).sum(1).mean()


def path_lengths(images: Images, styles: Float[Tensor, "batch layer style"]) -> Float[Tensor, " batch"]:
    """|J^T y| for random images y: how far an image moves for a small step of its style (Karras et al. 2020, sec. 3.2).

    `images` must be computed from `styles`, which need a gradient. The root of the mean over layers, as NVIDIA's code.
    """
    height, width = images.shape[2:]
    noise = torch.randn_like(images) / (height * width) ** 0.5
    slopes = _gradient((images * noise).flatten(1).sum(1), styles)
    return slopes.square().sum(2).mean(1).sqrt()


def path_length_penalty(lengths: Float[Tensor, " batch"], mean: Tensor) -> Tensor:
    """E (|J^T y| - a)^2, where a is the running mean of the lengths (Karras et al. 2020, eq. 4)."""
    return (lengths - mean).square().mean()


def _gradient(outputs: Tensor, inputs: Tensor) -> Tensor:
    """d sum(outputs) / d inputs, itself differentiable; zero where the outputs do not depend on the inputs."""
    (found,) = torch.autograd.grad(outputs.sum(), inputs, create_graph=True, materialize_grads=True)
    return found


# -- the generator's average


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """average <- decay * average + (1 - decay) * network (Karras et al. 2018, sec. 6); buffers are copied."""
    for mine, its in zip(average.parameters(), network.parameters(), strict=True):
        mine.lerp_(its, 1 - decay)
    for copied, buffer in zip(average.buffers(), network.buffers(), strict=True):
        copied.copy_(buffer)


# -- differentiable augmentation, Zhao et al. 2020, sec. 4 and appendix A: the same changes to real and made images


def diff_augment(images: Images, changes: Iterable[str]) -> Images:
    """`images` after each of `changes` ('colour', 'translation', 'cutout'), drawn for each image; gradients pass."""
    for change in changes:
        images = _CHANGES[change](images)
    return images


def colour(images: Images) -> Images:
    """Brightness by -0.5 to 0.5, saturation by a factor of 0 to 2, contrast by a factor of 0.5 to 1.5."""
    brightness, saturation, contrast = torch.rand(3, len(images), 1, 1, 1, device=images.device, dtype=images.dtype)
    images = images + brightness - 0.5
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * 2 * saturation
    mean = images.mean((1, 2, 3), keepdim=True)
    contrasted: Tensor = mean + (images - mean) * (contrast + 0.5)
    return contrasted


def translation(images: Images) -> Images:
    """Moved by up to an eighth of its size each way; black (-1) comes in."""
    batch, _, height, width = images.shape
    reach = (max(1, round(height / 8)), max(1, round(width / 8)))
    padded = F.pad(images, (reach[1], reach[1], reach[0], reach[0]), value=-1.0)
    device = images.device
    down, right = (torch.randint(2 * r + 1, (batch, 1), device=device) for r in reach)
    rows = (down + torch.arange(height, device=device)).view(batch, 1, height, 1)
    columns = (right + torch.arange(width, device=device)).view(batch, 1, 1, width)
    example = torch.arange(batch, device=device).view(batch, 1, 1, 1)
    channel = torch.arange(images.shape[1], device=device).view(1, -1, 1, 1)
    return padded[example, channel, rows, columns]


def cutout(images: Images) -> Images:
    """A square of half the side, anywhere, set to the middle of the range (0)."""
    batch, _, height, width = images.shape
    device = images.device
    y, x = (torch.randint(side + 1, (batch, 1, 1, 1), device=device) for side in (height, width))
    rows = (torch.arange(height, device=device).view(1, 1, -1, 1) - y + height // 4).div(
        height // 2, rounding_mode="floor"
    )
    columns = (torch.arange(width, device=device).view(1, 1, 1, -1) - x + width // 4).div(
        width // 2, rounding_mode="floor"
    )
    return images.masked_fill((rows == 0) & (columns == 0), 0.0)


_CHANGES: dict[str, Callable[[Tensor], Tensor]] = {"colour": colour, "translation": translation, "cutout": cutout}
