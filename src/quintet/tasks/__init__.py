"""What can be learnt. This table is free of torch; `Task.path` names the class that learns it."""

from __future__ import annotations

from dataclasses import dataclass

from quintet.errors import unknown

SUPERVISED = "quintet.tasks.supervised:Supervised"


@dataclass(frozen=True)
class Task:
    """One task of the catalogue.

    It fits data of one of `kinds` whose `target` is the given one. `primary` is the metric that ranks,
    `higher_is_better` its direction; `baselines` are always run beside the networks, by kind of data. Networks are of
    the given `contract` (see `models.member`); `learner` names the LightningModule that trains them, and
    `label_smoothing` says whether the loss takes it. `num_classes` is how many the data must have, if it matters.
    """

    path: str
    title: str
    kinds: tuple[str, ...]
    target: str
    metrics: tuple[str, ...]
    primary: str
    higher_is_better: bool
    baselines: dict[str, tuple[str, ...]]
    contract: str = "encoder"
    learner: str = SUPERVISED
    label_smoothing: bool = False
    # Networks must be told the class, and are compared with baselines that learnt from as many labels.
    conditional: bool = False
    num_classes: int | None = None


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
        label_smoothing=True,
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
        label_smoothing=True,
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
    "generation": Task(
        path="quintet.tasks.generation:Generation",
        title="Image generation",
        kinds=("image",),
        target="class",
        metrics=(
            "coverage",
            "frechet_distance",
            "kernel_distance",
            "precision",
            "recall",
            "density",
            "classifier_score",
            "class_accuracy",
            "copied",
            "inception_fid",
            "inception_kid",
        ),
        primary="coverage",
        higher_is_better=True,
        baselines={"image": ("noise", "class-gaussians")},
        contract="generator",
        learner="quintet.tasks.game:Game",
    ),
    "inpainting": Task(
        path="quintet.tasks.inpainting:Inpainting",
        title="Inpainting",
        kinds=("image",),
        target="class",
        metrics=("psnr", "ssim", "absolute_error"),
        primary="psnr",
        higher_is_better=True,
        baselines={"image": ("mean-fill", "biharmonic")},
        contract="translator",
        learner="quintet.tasks.inpainting.repair:Repair",
    ),
    "augmentation": Task(
        path="quintet.tasks.augmentation:Augmentation",
        title="Augmentation",
        kinds=("image",),
        target="class",
        metrics=("accuracy", "macro_f1", "nll", "calibration_error"),
        primary="accuracy",
        higher_is_better=True,
        baselines={"image": ("real-alone", "shifted-and-turned")},
        contract="generator",
        learner="quintet.tasks.game:Game",
        conditional=True,
    ),
    "style_transfer": Task(
        path="quintet.tasks.style_transfer:StyleTransfer",
        title="Style transfer",
        kinds=("image",),
        target="class",
        metrics=("transfer", "content", "style", "probability", "precision", "frechet_distance", "cycle_error"),
        primary="transfer",
        higher_is_better=True,
        baselines={"image": ("unchanged", "colour-statistics")},
        contract="stylist",
        learner="quintet.tasks.style_transfer.transfer:Transfer",
        num_classes=2,
    ),
}


def task(name: str, where: str = "task") -> Task:
    """The catalogue's entry; raises `UserError` that names the nearest accepted word."""
    if name not in TASKS:
        raise unknown(where, "task", name, TASKS)
    return TASKS[name]
