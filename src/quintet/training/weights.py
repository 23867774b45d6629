"""Trained weights on disk, as safetensors: numbers and names, nothing that runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from quintet.errors import UserError

_POSITIONS = "position_embedding.weight"


def save_weights(weights: Mapping[str, Tensor], file: Path) -> None:
    """Write weights by name as safetensors, replacing `file` as a whole."""
    partial = file.with_suffix(".partial")
    save_file({name: value.detach().cpu().contiguous() for name, value in weights.items()}, partial)
    os.replace(partial, file)


def load_part(part: nn.Module, file: Path, prefix: str) -> None:
    """Give `part` the weights that a larger network kept under names that begin with `prefix`.

    A network that knew longer texts gives its vectors of the first positions. Raises `UserError` where it knew shorter.
    """
    weights = {k.removeprefix(prefix): v for k, v in load_file(file).items() if k.startswith(prefix)}
    if _POSITIONS in weights:
        known, longest = len(weights[_POSITIONS]), len(part.state_dict()[_POSITIONS])
        if known < longest:
            what = f"these weights are for texts of up to {known} tokens, and the data's have up to {longest}"
            raise UserError(str(file), what, f"set the data's length to {known} at most")
        weights[_POSITIONS] = weights[_POSITIONS][:longest]
    part.load_state_dict(weights)


def load_weights(network: nn.Module, file: Path) -> None:
    """Read what `save_weights` wrote into a network of the same shape."""
    network.load_state_dict(load_file(file))
