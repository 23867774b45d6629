"""Images on their way into a network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from quintet.data.spec import DataSpec


def normalise(
    images: UInt8[Tensor, "batch channel height width"], mean: Sequence[float], std: Sequence[float]
) -> Float[Tensor, "batch channel height width"]:
    """0..255 to zero mean and unit deviation, by the training split's channel statistics (in units of 0..1)."""
    shift = torch.tensor(mean, device=images.device).view(-1, 1, 1)
    # A channel that never changes has no deviation; it is only shifted.
    scale = torch.tensor([s if s > 0 else 1.0 for s in std], device=images.device).view(-1, 1, 1)
    return (images.float() / 255 - shift) / scale


def network_input(spec: DataSpec, batch: int, device: torch.device) -> Tensor:
    """Random pixels of the data's shape, for measuring time and work."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (batch, *spec.shape), generator=generator, dtype=torch.uint8)
    return normalise(pixels.to(device), spec.mean, spec.std)
