"""Small data that can be learnt, and trainers that leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl

from quintet.data.spec import DataSpec, Split
from quintet.tasks.classification import Classification
from quintet.tasks.supervised import Supervised
from quintet.training.settings import Training

SHAPE, CLASSES = (1, 8, 8), ("a", "b", "c")


def split_of(count: int, seed: int) -> Split:
    """Images whose class is where they are bright: at the top, in the middle or at the bottom."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 3, count)
    inputs = rng.integers(0, 120, (count, *SHAPE), dtype=np.uint8)
    for image, target in zip(inputs, targets, strict=True):
        image[0, 3 * target : 3 * target + 2] += 100
    return Split(ids=np.array([f"{seed}-{i}" for i in range(count)]), inputs=inputs, targets=targets)


@pytest.fixture(scope="session")
def train() -> Split:
    return split_of(48, seed=1)


@pytest.fixture(scope="session")
def validation() -> Split:
    return split_of(21, seed=2)


@pytest.fixture(scope="session")
def spec(train: Split) -> DataSpec:
    scaled = train.inputs / 255
    return DataSpec(
        name="bars",
        kind="image",
        target="class",
        shape=SHAPE,
        classes=CLASSES,
        counts={"train": 48, "validation": 21, "test": 0},
        class_counts={},
        mean=(float(scaled.mean()),),
        std=(float(scaled.std()),),
        set_aside=0,
        source={},
        digest="",
    )


LENET = {"family": "cnn", "name": "lenet", "settings": {"activation": "relu", "pooling": "max"}}


@pytest.fixture
def made(spec: DataSpec, train: Split, validation: Split) -> Callable[..., Supervised]:
    """Classification of the small data; `training` as in params.yaml, over settings that suit it."""

    def make(model: dict[str, Any] = LENET, seed: int = 0, **training: Any) -> Supervised:
        pl.seed_everything(seed, verbose=False)
        objective = Classification(spec)
        network = objective.network(model)
        settings = {"budget": {"epochs": 2}, "batch_size": 8, "optimiser": {"lr": 0.003}, **training}
        return Supervised("bars", network, objective, train, validation, Training.model_validate(settings), seed)

    return make


@pytest.fixture
def fit(tmp_path: Path) -> Callable[..., pl.Trainer]:
    """Trains a module as the stage does, with callbacks of the test's own."""

    def run(task: Supervised, *callbacks: pl.Callback, ckpt_path: Path | None = None, **trainer: Any) -> pl.Trainer:
        budget = task.training_settings.budget
        made = pl.Trainer(
            accelerator="cpu",
            max_epochs=budget.epochs or -1,
            max_steps=budget.steps or -1,
            gradient_clip_val=task.training_settings.gradient_clip,
            accumulate_grad_batches=task.training_settings.accumulate,
            callbacks=list(callbacks),
            logger=False,
            enable_checkpointing=bool(callbacks),
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
            **trainer,
        )
        made.fit(task, ckpt_path=ckpt_path, weights_only=True)
        return made

    return run
