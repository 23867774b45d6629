"""Images whose class is the place of a bright bar."""

from __future__ import annotations

import numpy as np

from quintet.data.spec import Split

SHAPE = (1, 8, 8)


def bars(count: int, seed: int) -> Split:
    """Images of a bright bar at the top, in the middle or at the bottom, each with some noise."""
    rng = np.random.default_rng(seed)
    targets = np.arange(count) % 3
    inputs = rng.integers(0, 60, (count, *SHAPE), dtype=np.uint8)
    for image, target in zip(inputs, targets, strict=True):
        image[0, 3 * target : 3 * target + 2] += 150
    return Split(np.array([f"{seed}-{i:03d}" for i in range(count)]), inputs, targets)
