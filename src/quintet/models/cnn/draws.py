"""How weights are drawn where nothing normalises the signal between layers (LeNet apart: it has two convolutions)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn


def draw_by_inputs_met(layer: nn.Conv2d | nn.Linear, sides: Sequence[int] = ()) -> None:
    """Weights as He et al. 2015 (variance 2 / fan-in, for layers followed by ReLU); biases zero.

    For a convolution the fan-in counts those inputs that lie inside the map of `sides`. On large maps that is
    the usual count. On a map of one pixel eight of nine weights meet padding: by the usual count the signal would
    fall to a third at each layer, and a plain VGG-16 on images of 8 x 8 then stays at chance.
    """
    fan_in = float(layer.weight.shape[1])
    if isinstance(layer, nn.Conv2d):
        assert not isinstance(layer.padding, str)
        for axis, side in enumerate(sides):
            fan_in *= _mean_overlap(side, layer.kernel_size[axis], layer.stride[axis], layer.padding[axis])
    nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_in))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _mean_overlap(side: int, kernel: int, stride: int, padding: int) -> float:
    """How much of the kernel lies on the map, on average over the positions it takes."""
    starts = range(-padding, side + padding - kernel + 1, stride)
    return sum(min(start + kernel, side) - max(start, 0) for start in starts) / len(starts)
