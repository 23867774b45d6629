"""What can be learnt. This table is free of torch; `Task.path` names the class that learns it."""

from __future__ import annotations

from dataclasses import dataclass

from quintet.errors import unknown


@dataclass(frozen=True)
class Task:
    """One task of the catalogue.

    It fits data of one of `kinds` whose `target` is the given one. `primary` is the metric that ranks,
    `higher_is_better` its direction; `baselines` are always run beside the networks.
    """

    path: str
    title: str
    kinds: tuple[str, ...]
    target: str
    metrics: tuple[str, ...]
    primary: str
    higher_is_better: bool
    baselines: tuple[str, ...]


TASKS: dict[str, Task] = {
    "classification": Task(
        path="quintet.tasks.classification:Classification",
        title="Classification",
        kinds=("image",),
        target="class",
        metrics=("accuracy", "macro_f1", "nll", "calibration_error"),
        primary="accuracy",
        higher_is_better=True,
        baselines=("most-frequent", "logistic-regression"),
    ),
}


def task(name: str, where: str = "task") -> Task:
    """The catalogue's entry; raises `UserError` that names the nearest accepted word."""
    if name not in TASKS:
        raise unknown(where, "task", name, TASKS)
    return TASKS[name]
