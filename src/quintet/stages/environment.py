"""The software and the machine, as far as they may matter to a figure."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import quintet

if TYPE_CHECKING:
    import pytorch_lightning as pl


def environment(trainer: pl.Trainer | None = None) -> dict[str, Any]:
    """Versions, processor, threads, and what a training ran on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pytorch_lightning": version("pytorch-lightning"),
        "quintet": quintet.__version__,
        "cpu": _processor(),
        "threads": torch.get_num_threads(),
        "accelerator": type(trainer.accelerator).__name__ if trainer else "CPUAccelerator",
        "devices": trainer.world_size if trainer else 1,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
