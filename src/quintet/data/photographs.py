"""The two photographs that ship with scikit-learn, a Chinese temple and a flower, in tiles: two styles of colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from quintet.data import DATASETS
from quintet.data.examples import Examples
from quintet.data.options import EmbeddedOptions

_SIDE = 32


def read(options: EmbeddedOptions, name: str, scratch: Path) -> Examples:
    """Tiles of 32 x 32 pixels that do not overlap, row by row; what is left over at two borders is not used."""
    from sklearn.datasets import load_sample_image

    ids, tiles, targets = [], [], []
    for target, label in enumerate(DATASETS["photographs"].classes):
        pixels = load_sample_image(f"{label}.jpg")
        for row in range(pixels.shape[0] // _SIDE):
            for column in range(pixels.shape[1] // _SIDE):
                top, left = row * _SIDE, column * _SIDE
                ids.append(f"{label}-{row:02d}-{column:02d}")
                tiles.append(pixels[top : top + _SIDE, left : left + _SIDE].transpose(2, 0, 1))
                targets.append(target)
    return Examples(
        ids=np.array(ids),
        inputs=np.stack(tiles),
        targets=np.array(targets, np.int64),
        classes=DATASETS["photographs"].classes,
        test=None,
        source={"took": "embedded", "path": "sklearn.datasets.load_sample_image", "note": ""},
    )
