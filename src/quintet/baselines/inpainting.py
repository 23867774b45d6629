"""Inpainting without networks: the mean of what is there, and the biharmonic surface through it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.restoration import inpaint_biharmonic

from quintet.baselines import Fitted
from quintet.data.spec import Split
from quintet.tasks.inpainting import Inpainting
from quintet.tasks.objective import Predictions


def fit(name: str, objective: Inpainting, train: Split, validation: Split) -> Fitted:
    """The baseline `name` of TASKS["inpainting"]."""
    fill = {"mean-fill": mean_fill, "biharmonic": biharmonic}[name]

    def predict(split: Split) -> Predictions:
        images, hole = np.array(split.inputs), objective.holes_of(split).numpy()[:, 0]
        filled = np.stack([fill(image, its) for image, its in zip(images.astype(np.float64), hole, strict=True)])
        return objective.repaired(filled.round().clip(0, 255).astype(np.uint8), split)

    return Fitted({"mean-fill": "Mean fill", "biharmonic": "Biharmonic"}[name], predict, {}, 0)


def mean_fill(image: NDArray[np.float64], hole: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The hole filled with each channel's mean outside it; image [channel height width], hole [height width]."""
    mean = image[:, ~hole].mean(1)
    return np.where(hole, mean[:, None, None], image)


def biharmonic(image: NDArray[np.float64], hole: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The hole filled by the biharmonic equation from the pixels around it.

    Damelin and Hoang 2018, On Surface Completion and Image Inpainting by Biharmonic Functions.
    """
    filled: NDArray[np.float64] = inpaint_biharmonic(image, hole, channel_axis=0)
    return filled
