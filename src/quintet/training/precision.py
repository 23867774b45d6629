"""The number format of a training, by a written rule (docs/precision.md)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from quintet.training.work import flops

# From how many GFLOP in one forward pass over a batch bf16 is the faster on a CPU that has it; measured,
# see docs/precision.md. Below, converting to and fro costs more than the products save, and attention,
# with many small products and much between them, needs more work than convolutions do.
CONVOLUTION_GFLOP = 1.0
OTHER_GFLOP = 20.0


@dataclass(frozen=True)
class Precision:
    """What a training computes in, and why."""

    lightning: str
    memory_format: torch.memory_format
    reason: str


def choose(asked: str, network: nn.Module, example: torch.Tensor, on_gpu: bool) -> Precision:
    """The precision for training `network` on batches like `example`, which decides by its size alone.

    The rule looks at the processor's features and the model's work per step, never at a clock, so
    that two runs on one machine choose alike.
    """
    convolutional = any(_is_convolution(part) for part in network.modules())
    # Convolution kernels want the channels of a pixel side by side, in fp32 as well.
    memory_format = torch.channels_last if convolutional else torch.contiguous_format
    precision, reason = (asked, "as set") if asked != "auto" else _rule(network, example, on_gpu, convolutional)
    return Precision(precision, memory_format, reason)


def _rule(network: nn.Module, example: torch.Tensor, on_gpu: bool, convolutional: bool) -> tuple[str, str]:
    if on_gpu:
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16-mixed", "the GPU has bf16 units"
        return "32-true", "the GPU has no bf16 units"
    if not _has_bf16():
        return "32-true", "the processor has neither AVX512-BF16 nor AMX"
    if any(isinstance(part, nn.RNNBase) for part in network.modules()):
        return "32-true", "a recurrent network adds up rounding over its steps"
    gflop, least = flops(network, example) / 1e9, CONVOLUTION_GFLOP if convolutional else OTHER_GFLOP
    kind = "convolutions" if convolutional else "matrix products"
    if gflop < least:
        return "32-true", f"{gflop:.3g} GFLOP of {kind} a step are below {least:g}"
    return "bf16-mixed", f"{gflop:.3g} GFLOP of {kind} a step are at least {least:g}"


def _is_convolution(part: nn.Module) -> bool:
    """A convolution that does not overlap itself, such as ViT's patch embedding, is a matrix product."""
    return isinstance(part, nn.Conv2d) and part.kernel_size != part.stride


def _has_bf16() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
