"""Style transfer without networks: the image left as it is, and the other domain's colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quintet.baselines import Fitted
from quintet.data.spec import Split
from quintet.tasks.objective import Predictions
from quintet.tasks.style_transfer import StyleTransfer


def fit(name: str, objective: StyleTransfer, train: Split, validation: Split) -> Fitted:
    """The baseline `name` of TASKS["style_transfer"]."""
    if name == "unchanged":

        def unchanged(split: Split) -> Predictions:
            images = np.array(split.inputs)
            return objective.restyled(images, images, split)

        return Fitted("Unchanged", unchanged, {}, 0)
    assert name == "colour-statistics", name
    images, domain = np.array(train.inputs), np.array(train.targets)
    known = [_statistics(images[domain == each]) for each in (0, 1)]

    def recoloured(split: Split) -> Predictions:
        images, domain = np.array(split.inputs), np.array(split.targets)
        translated = recolour(images, domain, known)
        return objective.restyled(translated, recolour(translated, 1 - domain, known), split)

    # A mean and a deviation for each channel of each domain.
    return Fitted("Colour statistics", recoloured, {}, 4 * images.shape[1])


Statistics = tuple[NDArray[np.float64], NDArray[np.float64]]


def recolour(images: NDArray[np.uint8], domain: NDArray[np.int64], known: list[Statistics]) -> NDArray[np.uint8]:
    """Each channel scaled and moved as takes the mean and deviation of its domain to those of the other.

    Reinhard et al. 2001, Color Transfer between Images, eqs. 10 and 11, here of stored channels rather than of lαβ, and
    with the statistics of whole domains, since no single image is the model.
    """
    made = np.empty(images.shape)
    for each in (0, 1):
        (mean, deviation), (new_mean, new_deviation) = known[each], known[1 - each]
        rows = domain == each
        made[rows] = (images[rows] - mean) * (new_deviation / np.maximum(deviation, 1e-9)) + new_mean
    return made.round().clip(0, 255).astype(np.uint8)


def _statistics(images: NDArray[np.uint8]) -> Statistics:
    """Each channel's mean and deviation, [channel 1 1]."""
    channels = images.transpose(1, 0, 2, 3).reshape(images.shape[1], -1).astype(np.float64)
    return channels.mean(1)[:, None, None], channels.std(1)[:, None, None]
