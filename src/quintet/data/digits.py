"""scikit-learn's handwritten digits: 1,797 grey images of 8x8, no network needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from quintet.data.examples import Examples
from quintet.data.options import DigitsOptions


def read(options: DigitsOptions, name: str, scratch: Path) -> Examples:
    """All examples, in scikit-learn's order; there is no official split."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    # A pixel counts the black ones of a 4x4 block, 0 to 16; spread over the byte's range.
    inputs = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    return Examples(
        ids=np.array([f"digit-{i:04d}" for i in range(len(inputs))]),
        inputs=inputs,
        targets=bunch.target.astype(np.int64),
        classes=tuple(str(c) for c in bunch.target_names),
        test=None,
        source={"took": "embedded", "path": "sklearn.datasets.load_digits", "note": ""},
    )
