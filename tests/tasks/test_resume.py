"""A training that is cut off anywhere goes on to the same weights and the same curves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers.logger import Logger
from torch import nn

from quintet.data.spec import DataSpec, Split
from quintet.tasks.classification import Classification
from quintet.tasks.objective import Objective
from quintet.tasks.supervised import Supervised
from quintet.training.checkpoints import BestWeights, ResumePoint
from quintet.training.settings import Training
from tests.tasks.texts import TEXTS, task_on

SPEC = DataSpec("made-up", "image", "class", (1, 4, 4), ("a", "b", "c"), {}, {}, (0.5,), (0.25,), 0, {}, "none")
BUDGETS = {"epochs": {"epochs": 3}, "steps": {"steps": 15}}


def made_up(examples: int) -> Split:
    rng = np.random.default_rng(examples)
    pixels = rng.integers(0, 256, (examples, 1, 4, 4), dtype=np.uint8)
    return Split(np.array([str(i) for i in range(examples)]), pixels, rng.integers(0, 3, examples))


class Cut(Exception):
    pass


class CutAfterSaving(ResumePoint):
    """Saves at its `at`-th chance alone, and then the power fails."""

    def __init__(self, file: Path, at: int) -> None:
        super().__init__(file, seconds_between=0)
        self.at, self.chances = at, 0

    def _write_if_due(self, trainer: pl.Trainer) -> None:
        self.chances += 1
        if self.chances == self.at:
            super()._write_if_due(trainer)
            raise Cut


class Rows(Logger):
    name = version = ""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[int, dict[str, float]] = {}

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        pass

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        assert step is not None
        self.rows.setdefault(step, {k: v for k, v in metrics.items() if k != "seconds"})


def of_images(folder: Path) -> tuple[nn.Module, Objective, Split, Split, dict[str, Any]]:
    """A network with dropout, on augmented images."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 32), nn.BatchNorm1d(32), nn.Dropout(0.3), nn.Linear(32, 3))
    settings = {"batch_size": 8, "augment": {"flip": True, "crop": 1}}
    return network, Classification(SPEC), made_up(50), made_up(20), settings


def of_texts(folder: Path) -> tuple[nn.Module, Objective, Split, Split, dict[str, Any]]:
    """A reader of texts of any length, whose words are hidden anew at each step."""
    objective = task_on("pretraining", folder)
    split = objective.inputs.encoded(TEXTS["pretraining"])
    settings = {"embed_dim": 8, "num_maps": 8, "dropout": 0.3}
    network = objective.network({"family": "cnn", "name": "textcnn", "settings": settings})
    return network, objective, split, split, {"batch_size": 2}


def trained(
    folder: Path,
    budget: dict[str, int],
    cut_at: int = 0,
    resume: Path | None = None,
    accumulate: int = 1,
    of: Callable[[Path], Any] = of_images,
) -> tuple[list[torch.Tensor], dict[int, dict[str, float]], dict[str, float]]:
    """Weights, curves and what the best weights are."""
    pl.seed_everything(0, verbose=False)
    network, objective, train, validation, settings = of(folder)
    settings |= {"budget": budget, "optimiser": {"lr": 0.01}, "accumulate": accumulate}
    task = Supervised("x", network, objective, train, validation, Training.model_validate(settings), seed=0)
    best, rows = BestWeights(folder / "best.safetensors", higher_is_better=True), Rows()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=budget.get("epochs", -1),
        max_steps=budget.get("steps", -1),
        accumulate_grad_batches=accumulate,
        callbacks=[best, CutAfterSaving(folder / "last.ckpt", cut_at)],
        logger=rows,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    try:
        trainer.fit(task, ckpt_path=resume, weights_only=True)
    except Cut:
        return [], rows.rows, {}
    return [p.detach().clone() for p in network.state_dict().values()], rows.rows, best.best


@pytest.mark.parametrize(("budget", "accumulate"), [(b, 1) for b in BUDGETS.values()] + [({"epochs": 3}, 2)])
def test_a_training_cut_off_after_any_save_goes_on_to_the_same_weights_curves_and_best(
    tmp_path: Path, budget: dict[str, int], accumulate: int
) -> None:
    cuts = goes_on_after_every_cut(tmp_path, budget=budget, accumulate=accumulate)
    assert cuts >= 12, "the cuts must fall in every epoch, at its first batch and at its last but one"


def test_a_pretraining_cut_off_goes_on_with_the_words_it_would_have_hidden(tmp_path: Path) -> None:
    assert goes_on_after_every_cut(tmp_path, budget={"epochs": 2}, of=of_texts) >= 4


def goes_on_after_every_cut(folder: Path, **how: Any) -> int:
    """Cuts a training off after each save in turn and compares with one that was left alone; the number of saves."""
    weights, curves, best = trained(folder, **how)
    for at in range(1, 100):
        (folder / "last.ckpt").unlink(missing_ok=True)
        none, before, _ = trained(folder, cut_at=at, **how)
        if none:
            return at - 1
        resumed, after, resumed_best = trained(folder, resume=folder / "last.ckpt", **how)
        assert all(torch.equal(a, b) for a, b in zip(weights, resumed, strict=True)), f"other weights after save {at}"
        # What was logged before the cut and comes again is the same; the journal keeps one of the two.
        assert all(after[step] == before[step] for step in after.keys() & before.keys())
        assert {**before, **after} == curves
        assert resumed_best == best
    raise AssertionError("it never ends")
