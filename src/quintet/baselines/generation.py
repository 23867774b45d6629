"""Generation without networks: noise, and a Gaussian for each class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quintet.baselines import Fitted
from quintet.data.spec import Split
from quintet.tasks.generation import Generation
from quintet.tasks.objective import Predictions

# More pixels than this have too large a covariance; then the leading directions stand for all.
_MOST_DIRECTIONS = 200


def fit(name: str, objective: Generation, train: Split, validation: Split) -> Fitted:
    """The baseline `name` of TASKS["generation"]."""
    shape = objective.spec.shape
    if name == "noise":

        def noise(split: Split) -> NDArray[np.uint8]:
            return np.random.default_rng(0).integers(0, 256, (len(split), *shape), np.uint8)

        return _fitted("Noise", objective, noise, {}, 0)
    assert name == "class-gaussians", name
    pixels = np.asarray(train.inputs, np.float32).reshape(len(train), -1)
    moments = {int(c): _gaussian(pixels[np.asarray(train.targets) == c]) for c in np.unique(train.targets)}

    def drawn(split: Split) -> NDArray[np.uint8]:
        rng = np.random.default_rng(0)
        images = np.empty((len(split), pixels.shape[1]))
        for row, label in enumerate(np.asarray(split.targets)):
            mean, directions = moments[int(label)]
            images[row] = mean + rng.standard_normal(len(directions)) @ directions
        return np.asarray(images.round().clip(0, 255).astype(np.uint8).reshape(-1, *shape))

    parameters = sum(mean.size + directions.size for mean, directions in moments.values())
    return _fitted("Gaussian per class", objective, drawn, {"directions": _MOST_DIRECTIONS}, parameters)


def _gaussian(pixels: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean [pixel], and directions [direction pixel] that take independent normal numbers to the class's covariance."""
    mean = pixels.mean(0, dtype=np.float64)
    # Of many images some tell the covariance well enough.
    some = (pixels[:2000] - mean) / np.sqrt(max(1, min(2000, len(pixels)) - 1))
    _, lengths, axes = np.linalg.svd(some, full_matrices=False)
    return mean, (lengths[:, None] * axes)[:_MOST_DIRECTIONS].astype(np.float64)


def _fitted(
    title: str,
    objective: Generation,
    make: Callable[[Split], NDArray[np.uint8]],
    settings: dict[str, Any],
    parameters: int,
) -> Fitted:
    def predict(split: Split) -> Predictions:
        return objective.beside(make(split), split, conditional=title != "Noise")

    return Fitted(title, predict, settings, parameters)
