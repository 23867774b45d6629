"""Training batches that a killed process finds again.

Every random choice of a training is a function of (seed, epoch, step), never of what was drawn
before: the order of an epoch here, dropout and augmentation in `step_seed`. So a training that is
continued from any checkpoint draws what it would have drawn, and no generator's state is stored.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from quintet.data.spec import Split

Batch = tuple[Tensor, Tensor]


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """A seed for one step on one process, spread over 63 bits (SplitMix64, Steele et al. 2014, fig. 16)."""
    z = (seed * 0x9E3779B97F4A7C15 + step * 0xD1B54A32D192ED03 + rank * 0x8CB92BA72F3D8DD7) % 2**64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    return (z ^ (z >> 31)) >> 1


class Batches:
    """Shuffled batches (inputs as stored, targets int64) of one split, epoch after epoch.

    `batch_size` counts the examples of all `world_size` processes together; each takes every
    `world_size`-th of them, so that the gradients of a step are the same for any number of
    processes. An epoch has two batches or more, so the batches of a small split are smaller. The
    examples left over when it does not divide into whole batches sit out that epoch. Memory-mapped
    arrays are read batch by batch.

    Lightning stores `state_dict` in its checkpoints and so continues in the middle of an epoch.
    """

    def __init__(self, split: Split, batch_size: int, seed: int, rank: int = 0, world_size: int = 1) -> None:
        assert batch_size % world_size == 0, (batch_size, world_size)
        self.split, self.seed, self.rank, self.world_size = split, seed, rank, world_size
        # A small split is cut in two: a training can be saved between the batches of an epoch only.
        half = max(1, len(split) // 2 // world_size) * world_size
        self.batch_size = min(batch_size, half)
        self.epoch, self.next_batch = 0, 0

    def __len__(self) -> int:
        return len(self.split) // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        if self.next_batch == len(self):
            self.epoch, self.next_batch = self.epoch + 1, 0
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.split))
        while self.next_batch < len(self):
            start = self.next_batch * self.batch_size
            chosen = order[start + self.rank : start + self.batch_size : self.world_size]
            self.next_batch += 1
            yield torch.from_numpy(self.split.inputs[chosen]), torch.from_numpy(self.split.targets[chosen])

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "next_batch": self.next_batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.epoch, self.next_batch = state["epoch"], state["next_batch"]
