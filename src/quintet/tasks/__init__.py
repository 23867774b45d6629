"""What can be learnt. This table is free of torch; `Task.path` names the class that learns it."""

from __future__ import annotations

from dataclasses import dataclass

from quintet.errors import unknown


@dataclass(frozen=True)
class Task:
    """One task of the catalogue.

    It fits data of one of `kinds` whose `target` is the given one. `primary` is the metric that ranks,
    `higher_is_better` its direction; `baselines` are always run beside the networks, by kind of data.
    """

    path: str
    title: str
    kinds: tuple[str, ...]
    target: str
    metrics: tuple[str, ...]
    primary: str
    higher_is_better: bool
    baselines: dict[str, tuple[str, ...]]


TASKS: dict[str, Task] = {
    "classification": Task(
        path="quintet.tasks.classification:Classification",
        title="Classification",
        kinds=("image", "text"),
        target="class",
        metrics=("accuracy", "macro_f1", "nll", "calibration_error"),
        primary="accuracy",
        higher_is_better=True,
        baselines={
            "image": ("most-frequent", "logistic-regression"),
            "text": ("most-frequent", "tf-idf", "word-vectors"),
        },
    ),
    "tagging": Task(
        path="quintet.tasks.tagging:Tagging",
        title="Tagging",
        kinds=("text",),
        target="tags",
        metrics=("entity_f1", "entity_precision", "entity_recall", "word_accuracy"),
        primary="entity_f1",
        higher_is_better=True,
        baselines={"text": ("most-frequent-tag",)},
    ),
    "answering": Task(
        path="quintet.tasks.answering:Answering",
        title="Question answering",
        kinds=("text",),
        target="span",
        metrics=("answer_f1", "exact_match"),
        primary="answer_f1",
        higher_is_better=True,
        baselines={"text": ("word-overlap",)},
    ),
    "pretraining": Task(
        path="quintet.tasks.pretraining:Pretraining",
        title="Pre-training",
        kinds=("text",),
        target="next",
        metrics=("masked_accuracy", "next_accuracy", "perplexity"),
        primary="masked_accuracy",
        higher_is_better=True,
        baselines={"text": ("most-frequent",)},
    ),
}


def task(name: str, where: str = "task") -> Task:
    """The catalogue's entry; raises `UserError` that names the nearest accepted word."""
    if name not in TASKS:
        raise unknown(where, "task", name, TASKS)
    return TASKS[name]
