"""Inpainting without networks: the mean of what is there, and the smoothest surface through it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, diags_array, eye_array, kron
from scipy.sparse.linalg import spsolve

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
    """The hole filled so that the squared Laplacian is least: a thin plate held by the pixels around it.

    Its equation is biharmonic, as in Damelin and Hoang 2018, On Surface Completion and Image Inpainting by Biharmonic
    Functions; at the image's border the plate is free.
    """
    plate = _plate(*hole.shape)
    inside, outside = np.flatnonzero(hole), np.flatnonzero(~hole)
    filled = image.reshape(len(image), -1).copy()
    right = -plate[inside][:, outside] @ filled[:, outside].T
    filled[:, inside] = spsolve(csc_array(plate[inside][:, inside]), right).reshape(len(inside), -1).T
    return filled.reshape(image.shape)


def _plate(height: int, width: int) -> csc_array:
    """L^T L, where L takes a flattened image to its second differences, each pixel's with those neighbours it has."""

    def second(side: int) -> csc_array:
        ends = np.full(side, -2.0)
        ends[[0, -1]] = -1.0
        return diags_array([np.ones(side - 1), ends, np.ones(side - 1)], offsets=[-1, 0, 1], shape=(side, side))

    laplacian = kron(second(height), eye_array(width)) + kron(eye_array(height), second(width))
    return csc_array(laplacian.T @ laplacian)
