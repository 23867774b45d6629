"""Digits and outlines of other digits: two domains of which no image has its counterpart in the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import grey_erosion, zoom

from quintet.data import DATASETS, digits
from quintet.data.examples import Examples
from quintet.data.options import DigitsOptions, DigitsOutlinesOptions


def read(options: DigitsOutlinesOptions, name: str, scratch: Path) -> Examples:
    """scikit-learn's digits at twice their size; a fixed half of them, drawn at random, as outlines."""
    source = digits.read(DigitsOptions(set="digits"), name, scratch)
    targets = np.random.default_rng(0).permutation(len(source.ids)) % 2
    images = np.stack([enlarged(image) for image in source.inputs[:, 0]])
    drawn = np.stack([outline(image) for image in images])
    ids = [id_.replace("digit", "outline") if target else id_ for id_, target in zip(source.ids, targets, strict=True)]
    return Examples(
        ids=np.array(ids),
        inputs=np.where(targets[:, None, None] == 1, drawn, images)[:, None],
        targets=targets.astype(np.int64),
        classes=DATASETS["digits-outlines"].classes,
        test=None,
        source=source.source,
    )


def enlarged(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Twice the sides, linearly: strokes of 8 x 8 pixels are too thin to have an inside."""
    return np.asarray(zoom(image.astype(np.float64), 2, order=1, mode="nearest", grid_mode=True).round(), np.uint8)


def outline(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image less its erosion by a square of 3 x 3, which is what lies within (the inner gradient of morphology)."""
    return np.asarray(image - grey_erosion(image, (3, 3)))
