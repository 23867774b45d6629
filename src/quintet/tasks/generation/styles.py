"""Truncation, and the mixing of styles: what can be asked of a trained generator besides an image of a latent."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def has_styles(network: nn.Module) -> bool:
    """Whether the network's generator maps latents to styles, one for each layer, as StyleGAN's does."""
    return hasattr(getattr(network, "generator", None), "styles")


def truncated(
    network: nn.Module,
    latent: Float[Tensor, "batch latent_dim"],
    labels: Int[Tensor, " batch"] | None,
    truncation: float,
) -> Float[Tensor, "batch channel height width"]:
    """Images of latents drawn towards the middle: 1 leaves them where they are, at 0 all are one.

    Styles are drawn towards their mean (Karras et al. 2019, appendix B), beyond the `truncation` that the network was
    built with; where there are none the latent is scaled towards 0, its mean.
    """
    if truncation == 1 or not has_styles(network):
        images: Tensor = network.generate(latent * truncation, labels)  # type: ignore[operator]
        return images
    generator: Any = network.generator
    mean = generator.mean_style
    images = generator.synthesis(mean + truncation * (generator.styles(latent, labels) - mean))
    return images.clamp(-1, 1)


def mixed(
    network: nn.Module, latent: Float[Tensor, "source latent_dim"], labels: Int[Tensor, " source"] | None, coarse: int
) -> Float[Tensor, "row column channel height width"]:
    """The first `coarse` sources lend the styles of their early layers, the others those of the late ones.

    The first column shows the sources of coarse styles, the first row those of fine ones (Karras et al. 2019, fig. 3),
    and what is at row i and column j has the coarse styles of the one and the fine styles of the other. The corner is
    empty (0).
    """
    generator: Any = network.generator
    style = generator.styles(latent, labels)
    sources = generator.synthesis(style).clamp(-1, 1)
    early = torch.arange(style.shape[1], device=style.device) < style.shape[1] // 2
    early = early[:, None]
    rows = [torch.cat([torch.zeros_like(sources[:1]), sources[coarse:]])]
    for source in range(coarse):
        both = torch.where(early, style[source], style[coarse:])
        rows.append(torch.cat([sources[source : source + 1], generator.synthesis(both).clamp(-1, 1)]))
    return torch.stack(rows)
