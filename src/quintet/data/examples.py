"""What a reader hands over before the splits are cut."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quintet.data.listing import Problem


@dataclass(frozen=True)
class Examples:
    """All examples of a set.

    ids         a name for each, stable between preparations
    inputs      uint8 [example channel height width]; may be memory-mapped
    targets     int64 [example], index into `classes`
    test        bool [example], the official test split; None where there is none
    source      where it came from: 'took', 'path' or 'url', 'title', 'licence', 'source', 'note'
    set_aside   what was left out, each with its reason
    """

    ids: NDArray[np.str_]
    inputs: NDArray[np.uint8]
    targets: NDArray[np.int64]
    classes: tuple[str, ...]
    test: NDArray[np.bool_] | None
    source: dict[str, str]
    set_aside: list[Problem] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[Any]) -> Examples:
        """Those of `rows`, in their order. Copies the inputs, so it is meant for sets that fit in memory."""
        test = None if self.test is None else self.test[rows]
        return Examples(
            self.ids[rows], self.inputs[rows], self.targets[rows], self.classes, test, self.source, self.set_aside
        )
