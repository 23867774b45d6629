"""Trained weights on disk, as safetensors: numbers and names, nothing that runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn


def save_weights(weights: Mapping[str, Tensor], file: Path) -> None:
    """Write weights by name as safetensors, replacing `file` as a whole."""
    partial = file.with_suffix(".partial")
    save_file({name: value.detach().cpu().contiguous() for name, value in weights.items()}, partial)
    os.replace(partial, file)


def load_part(part: nn.Module, file: Path, prefix: str) -> None:
    """Give `part` the weights that a larger network kept under names that begin with `prefix`."""
    weights = load_file(file)
    part.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})


def load_weights(network: nn.Module, file: Path) -> None:
    """Read what `save_weights` wrote into a network of the same shape."""
    network.load_state_dict(load_file(file))
