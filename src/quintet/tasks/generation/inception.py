"""Features of Inception v3 (Szegedy et al. 2016, Rethinking the Inception Architecture), from a local file of weights.

Two files are known, by the number of their classes: that of `mseitzer/pytorch-fid` (pt_inception-2015-12-05, 1008
classes), which is what published FIDs are computed with, and torchvision's `inception_v3` (1000 classes). The former's
pooling branches leave padding out of their averages, and its last block takes maxima, as TensorFlow's graph did.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models import inception_v3

from quintet.errors import UserError

_NAMES = {1008: "Inception v3, as for published FIDs", 1000: "torchvision's Inception v3"}
_SIDE, _BATCH = 299, 32
_RIGHT = "give the state dictionary that torchvision or pytorch-fid publish"


class Inception:
    """`name` says which network it is, `digest` which weights."""

    def __init__(self, weights: Path, where: str) -> None:
        network, self.name = _loaded(weights, where)
        self.network = network.eval().requires_grad_(False)
        self.digest = hashlib.sha256(weights.read_bytes()).hexdigest()

    @torch.inference_mode()
    def look(self, images: UInt8[np.ndarray, "image channel height width"]) -> NDArray[np.float64]:
        """Features [image 2048] of images as stored: what the last average over places gives."""
        found = []
        with torch.autocast("cpu", enabled=False):
            for start in range(0, len(images), _BATCH):
                pixels = torch.from_numpy(np.array(images[start : start + _BATCH])).float() / 127.5 - 1
                pixels = pixels.expand(-1, 3, -1, -1) if pixels.shape[1] == 1 else pixels
                pixels = F.interpolate(pixels, size=(_SIDE, _SIDE), mode="bilinear", align_corners=False)
                found.append(self.network(pixels).double())
        return np.asarray(torch.cat(found).numpy())


def _loaded(weights: Path, where: str) -> tuple[nn.Module, str]:
    if not weights.is_file():
        raise UserError(where, f"no such file: {weights}", _RIGHT)
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
        classes = len(state["fc.weight"])
        name = _NAMES[classes]
        network: Any = inception_v3(weights=None, num_classes=classes, aux_logits=False, init_weights=False)
        network.load_state_dict({key: value for key, value in state.items() if not key.startswith("AuxLogits.")})
    except Exception as e:
        reason = (str(e).splitlines() or [type(e).__name__])[0]
        raise UserError(where, f"{weights} holds no weights of Inception v3 ({reason})", _RIGHT) from e
    network.fc = nn.Identity()
    if classes == 1008:
        for block in ("5b", "5c", "5d", "6b", "6c", "6d", "6e", "7b"):
            _pool(getattr(network, f"Mixed_{block}"), _average)
        _pool(network.Mixed_7c, _maximum)
    return network, name


def _pool(block: Any, pool: Callable[[Tensor], Tensor]) -> None:
    """Let the block's last branch read what `pool` makes of the block's input."""
    branches = block._forward

    def forward(maps: Tensor) -> list[Tensor]:
        return [*branches(maps)[:-1], block.branch_pool(pool(maps))]

    block._forward = forward


def _average(maps: Tensor) -> Tensor:
    return F.avg_pool2d(maps, kernel_size=3, stride=1, padding=1, count_include_pad=False)


def _maximum(maps: Tensor) -> Tensor:
    return F.max_pool2d(maps, kernel_size=3, stride=1, padding=1)
