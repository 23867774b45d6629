"""What no network should fall short of: for each task a module with `fit(name, objective, train, validation)`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from quintet.data.spec import Split
from quintet.tasks.objective import Objective, Predictions


@dataclass(frozen=True)
class Fitted:
    """A fitted baseline: what it says of a split, what it chose on the validation split, how many numbers it learnt."""

    title: str
    predict: Callable[[Split], Predictions]
    settings: Mapping[str, Any]
    parameters: int


def fit(task: str, name: str, objective: Objective, train: Split, validation: Split) -> Fitted:
    """The baseline `name` of `task`, fitted on `train`; what has to be chosen is chosen on `validation`."""
    fitted: Fitted = importlib.import_module(f"quintet.baselines.{task}").fit(name, objective, train, validation)
    return fitted
