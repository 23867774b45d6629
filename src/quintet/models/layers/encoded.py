"""What every encoder returns."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class Encoded(NamedTuple):
    """Features of a batch: one vector per example, and one per position for heads that need them.

    An encoder's `pooled_dim` and `position_dim` give the two feature sizes. Positions are the
    network's own: pixels of the last feature map (row by row), patches, time steps.
    """

    pooled: Float[Tensor, "batch pooled_dim"]
    positions: Float[Tensor, "batch position position_dim"]
