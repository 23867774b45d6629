"""The small classifier that learns from few real images, and from made or changed ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from quintet.data.spec import DataSpec, Split
from quintet.tasks.generation.judge import Eye
from quintet.training.batches import step_seed

# Each classifier is so many networks of other first weights and other batches, whose probabilities are averaged.
_NETWORKS = 2
_STEPS, _BATCH, _RATE = 200, 64, 3e-3
# Share of each batch that is made, where images were made. Chosen on validation (docs/results.md).
_SHARE = 0.25

Changes = Callable[[Tensor], Tensor]


class Classifier:
    """Networks that were taught alike."""

    def __init__(self, eyes: list[Eye]) -> None:
        self.eyes = [eye.eval() for eye in eyes]

    @property
    def parameters(self) -> int:
        """How many numbers it learnt."""
        return sum(p.numel() for eye in self.eyes for p in eye.parameters())

    @torch.inference_mode()
    def log_probabilities(self, images: NDArray[np.uint8]) -> Tensor:
        """[image class], of images as stored."""
        stored = torch.from_numpy(np.array(images))
        parts = torch.split(stored, 500)
        by_eye = [torch.cat([eye(_input(some))[1] for some in parts]).log_softmax(1) for eye in self.eyes]
        return torch.stack(by_eye).logsumexp(0) - math.log(len(by_eye))


def teach(
    spec: DataSpec,
    real: Split,
    seed: int,
    made: tuple[NDArray[np.uint8], NDArray[np.int64]] | None = None,
    changes: Changes | None = None,
) -> Classifier:
    """A classifier of the real images and, if there are some, of `made` images with their classes.

    Always as many steps of as many images; of made ones each batch has a fixed share. `changes` are made to each batch
    of images from 0 to 1.
    """
    images, classes = torch.from_numpy(np.array(real.inputs)), torch.from_numpy(np.array(real.targets))
    shares = [(images, classes, _BATCH)]
    if made is not None:
        count = round(_SHARE * _BATCH)
        shares = [(images, classes, _BATCH - count), (torch.from_numpy(made[0]), torch.from_numpy(made[1]), count)]
    eyes = []
    for number in range(_NETWORKS):
        # Nothing around it notices that a network was trained.
        with torch.random.fork_rng(devices=[]), torch.enable_grad(), torch.autocast("cpu", enabled=False):
            torch.manual_seed(step_seed(seed, number))
            # Channels last and fused: a fifth less time on a CPU.
            eye = Eye(spec.shape, len(spec.classes))
            eye.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            optimiser = torch.optim.AdamW(eye.parameters(), _RATE, fused=True)
            for step in range(_STEPS):
                for group in optimiser.param_groups:
                    group["lr"] = _RATE * 0.5 * (1 + math.cos(math.pi * step / _STEPS))
                drawn = [(*share, torch.randint(len(share[0]), (share[2],))) for share in shares]
                stored = torch.cat([its[rows] for its, _, _, rows in drawn])
                targets = torch.cat([its[rows] for _, its, _, rows in drawn])
                _, logits = eye(_input(stored, changes))
                loss = F.cross_entropy(logits, targets)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
        eyes.append(eye)
    return Classifier(eyes)


def _input(stored: Tensor, changes: Changes | None = None) -> Tensor:
    images = stored.float() / 255
    changed = (images if changes is None else changes(images)) * 2 - 1
    return changed.contiguous(memory_format=torch.channels_last)
