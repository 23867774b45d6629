"""The number format of a training, by a written rule (docs/precision.md)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from quintet.training.work import flops

# Below this many GFLOP in one forward pass over a batch, conversions cost more than bf16 products save.
CPU_GFLOP = 2.0


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
    convolutional = any(isinstance(part, nn.Conv2d) for part in network.modules())
    if asked != "auto":
        return _precision(asked, convolutional, "as set in trainer.precision")
    if on_gpu:
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return _precision("bf16-mixed", convolutional, "the GPU has bf16 units")
        return _precision("32-true", convolutional, "the GPU has no bf16 units")
    if not _has_bf16():
        return _precision("32-true", convolutional, "the processor has neither AVX512-BF16 nor AMX")
    if any(isinstance(part, nn.RNNBase) for part in network.modules()):
        return _precision("32-true", convolutional, "recurrent kernels gain nothing from bf16 on a CPU")
    gflop = flops(network, example) / 1e9
    if gflop < CPU_GFLOP:
        return _precision("32-true", convolutional, f"{gflop:.3g} GFLOP a step is below {CPU_GFLOP:g}")
    return _precision("bf16-mixed", convolutional, f"{gflop:.3g} GFLOP a step is at least {CPU_GFLOP:g}")


def _precision(lightning: str, convolutional: bool, reason: str) -> Precision:
    # Half-precision convolution kernels want channels last; in fp32 on a CPU the gain is small or negative.
    last = convolutional and lightning != "32-true"
    return Precision(lightning, torch.channels_last if last else torch.contiguous_format, reason)


def _has_bf16() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
