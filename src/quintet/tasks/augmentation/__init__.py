"""Augmentation: whether made images help a classifier that has few real ones, ranked by its accuracy.

A generator that is told the class learns from N labelled images. Then a small classifier, always the same, learns from
those N and from made ones, and answers. The baselines are that classifier without any made images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from quintet.data.spec import DataSpec, Split
from quintet.evaluation.statistics import Measure
from quintet.tasks import pictures
from quintet.tasks.augmentation.classifier import Classifier, teach
from quintet.tasks.classification import Classification
from quintet.tasks.generation import Generation, latents
from quintet.tasks.objective import Predictions

# So many images are made, as many of each class.
_MADE = 1_000


@dataclass(frozen=True)
class Taught(Predictions):
    """What a classifier says that learnt from made images as well: `images` uint8 [image channel height width].

    `classes` [image] are those that the generator was told.
    """

    images: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    classes: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))


class Augmentation(Generation):
    """Generators that are told the class, judged by what a classifier learns from their images."""

    def __init__(self, spec: DataSpec, prepared: Path | None = None, vocabulary: Path | None = None) -> None:
        super().__init__(spec, prepared, vocabulary)
        self.answers = Classification(spec)
        self.seed = 0
        self._real: Split | None = None

    def ready(self) -> None:
        """The judge of made images is not asked: it has seen all training images."""

    def learnt_from(self, labels: float, seed: int) -> None:
        self._real, self.seed = self.inputs.load("train", labels, seed), seed

    @property
    def real(self) -> Split:
        """The images that generator and classifier learn from."""
        assert self._real is not None, "learnt_from comes first"
        return self._real

    def predict(self, network: nn.Module, split: Split, device: torch.device) -> Taught:
        images, classes = self.some(network, device)
        return self._taught(self.say(teach(self.spec, self.real, self.seed, (images, classes)), split), images, classes)

    def validate(self, network: nn.Module, split: Split, device: torch.device) -> Taught:
        """By the nearest made image of each class, pixel by pixel: a classifier that need not be trained.

        Real images have no part in it: beside them a generator that makes nothing in particular would do no harm.
        """
        images, classes = self.some(network, device)
        squared = torch.cdist(_pixels(np.asarray(split.inputs)), _pixels(images)).square()
        nearest = torch.stack(
            [squared[:, torch.from_numpy(classes == label)].amin(1) for label in range(len(self.spec.classes))], 1
        )
        # Gaussians of one width around all images, of each the nearest alone.
        width = nearest.amin(1).mean().clamp_min(1e-6)
        return self._taught(self.answers.predictions((-nearest / width).log_softmax(1), split), images, classes)

    def some(self, network: nn.Module, device: torch.device) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Made images and their classes."""
        classes = np.arange(_MADE) % len(self.spec.classes)
        latent = latents(_MADE, int(network.latent_dim))  # type: ignore[arg-type]
        return self.make(network, latent, torch.from_numpy(classes), device), classes

    def say(self, classifier: Classifier, split: Split) -> Predictions:
        """What a classifier makes of a split."""
        return self.answers.predictions(classifier.log_probabilities(np.asarray(split.inputs)), split)

    def measures(self, found: Predictions) -> dict[str, Measure]:
        return self.answers.measures(found)

    def write(self, folder: Path, found: Mapping[int, Predictions]) -> list[str]:
        """The confusion of classes and, of a generator, pictures of what it made, a row for each class."""
        files = self.answers.write(folder, found)
        for seed, one in found.items():
            if isinstance(one, Taught):
                rows = pictures.sorted_by_class(one.images, one.classes)
                files.append(pictures.save_grid(rows, folder, "samples", seed))
        return files

    @staticmethod
    def _taught(found: Predictions, images: NDArray[np.uint8], classes: NDArray[np.int64]) -> Taught:
        return Taught(**vars(found), images=images, classes=classes)


def _pixels(images: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(images.reshape(len(images), -1).astype(np.float32) / 255)
