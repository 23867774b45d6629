"""The network whose eyes made images are compared with real ones by.

A small classifier, trained on the training split for a fixed number of steps. Its features compare models within one
report, never with published figures, which are those of Inception v3 on images of 299 x 299.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor, nn

from quintet.data.spec import DataSpec, Split
from quintet.training.weights import load_weights, save_weights

# Judges wait here for the next stage that needs them, by data and by this file.
_KEPT = Path(".scratch/judges")
_STEPS, _BATCH, _RATE = 500, 64, 3e-3
_FEATURES = 32
# One training image in so many is kept to measure the judge's accuracy; at most so many are looked at.
_HELD_OUT, _MOST = 10, 5_000


class Eye(nn.Module):
    """Three convolutions, their average over the image, `_FEATURES` linear features, and classes from those."""

    def __init__(self, shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        channels, *sides = shape
        block = max(1, min(sides) // 32)
        layers: list[nn.Module] = [nn.AvgPool2d(block)]
        for before, after, stride in ((channels, 32, 1), (32, 64, 2), (64, 64, 2)):
            layers += [nn.Conv2d(before, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.maps = nn.Sequential(*layers)
        self.features = nn.Linear(64, _FEATURES)
        self.classes = nn.Linear(_FEATURES, num_classes)
        # Of the training images' features, so that each counts alike whatever its scale.
        self.register_buffer("mean", torch.zeros(_FEATURES))
        self.register_buffer("deviation", torch.ones(_FEATURES))
        self.register_buffer("accuracy", torch.zeros(()))
        self.mean: Tensor
        self.deviation: Tensor
        self.accuracy: Tensor

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features and logits of images from -1 to 1."""
        features = self.features(self.maps(images).mean((2, 3)))
        return features, self.classes(F.relu(features))


class Judge:
    """A trained `Eye`; `accuracy` is on training images that it was not trained on."""

    def __init__(self, eye: Eye) -> None:
        self.eye = eye.eval()
        self.accuracy = float(eye.accuracy)

    @torch.inference_mode()
    def look(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Features [image feature] and class probabilities [image class] of images, as stored."""
        features, probabilities = [], []
        with torch.autocast("cpu", enabled=False):
            for start in range(0, len(images), 500):
                found, logits = self.eye(_input(images[start : start + 500]))
                features.append(((found - self.eye.mean) / self.eye.deviation).double())
                probabilities.append(logits.double().softmax(1))
        return torch.cat(features).numpy(), torch.cat(probabilities).numpy()


def judge_of(spec: DataSpec, train: Split) -> Judge:
    """The judge of a data set: from where an earlier stage left it, or trained now (some seconds) and left there."""
    key = hashlib.sha256(json.dumps([spec.digest, Path(__file__).read_text(encoding="utf8")]).encode()).hexdigest()
    _KEPT.mkdir(parents=True, exist_ok=True)
    file = _KEPT / f"{spec.name}-{key[:16]}.safetensors"
    # Stages, and the processes of one training, come here at the same time.
    with FileLock(file.with_suffix(".lock")):
        if not file.exists():
            save_weights(_trained(spec, train).state_dict(), file)
        eye = Eye(spec.shape, len(spec.classes))
        load_weights(eye, file)
    return Judge(eye)


def _trained(spec: DataSpec, train: Split) -> Eye:
    # The judge is the same whatever is drawn around it, and nothing around it notices that it was trained.
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), torch.autocast("cpu", enabled=False):
        torch.manual_seed(0)
        eye = Eye(spec.shape, len(spec.classes))
        rows = np.random.default_rng(0).permutation(len(train))
        held_out, rows = rows[: len(rows) // _HELD_OUT + 1], rows[len(rows) // _HELD_OUT + 1 :]
        optimiser = torch.optim.AdamW(eye.parameters(), _RATE)
        for step in range(_STEPS):
            for group in optimiser.param_groups:
                group["lr"] = _RATE * 0.5 * (1 + math.cos(math.pi * step / _STEPS))
            chosen = np.sort(rows[torch.randint(len(rows), (min(_BATCH, len(rows)),)).numpy()])
            _, logits = eye(_input(train.inputs[chosen]))
            loss = F.cross_entropy(logits, torch.from_numpy(np.array(train.targets[chosen])))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    looking = Judge(eye)
    some = np.sort(rows[:_MOST])
    features, _ = looking.look(np.asarray(train.inputs[some]))
    _, probabilities = looking.look(np.asarray(train.inputs[np.sort(held_out[:_MOST])]))
    right = probabilities.argmax(1) == np.asarray(train.targets[np.sort(held_out[:_MOST])])
    eye.mean.copy_(torch.from_numpy(features.mean(0)))
    eye.deviation.copy_(torch.from_numpy(features.std(0).clip(1e-6)))
    eye.accuracy.fill_(float(right.mean()))
    return eye


def _input(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.array(images)).float() / 127.5 - 1
