"""A training that is cut off anywhere goes on to the same weights and the same curves."""

from __future__ import annotations

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
from quintet.tasks.supervised import Supervised
from quintet.training.checkpoints import BestWeights, ResumePoint
from quintet.training.settings import Training

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


def trained(
    folder: Path, budget: dict[str, int], cut_at: int = 0, resume: Path | None = None, accumulate: int = 1
) -> tuple[list[torch.Tensor], dict[int, dict[str, float]], dict[str, float]]:
    """Weights, curves and what the best weights are, of a network with dropout on augmented data."""
    pl.seed_everything(0, verbose=False)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 32), nn.BatchNorm1d(32), nn.Dropout(0.3), nn.Linear(32, 3))
    settings = {"budget": budget, "batch_size": 8, "optimiser": {"lr": 0.01}, "augment": {"flip": True, "crop": 1}}
    settings["accumulate"] = accumulate
    objective, training = Classification(SPEC), Training.model_validate(settings)
    task = Supervised("x", network, objective, made_up(50), made_up(20), training, seed=0)
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
    weights, curves, best = trained(tmp_path, budget, accumulate=accumulate)
    cuts = 0
    for at in range(1, 100):
        (tmp_path / "last.ckpt").unlink(missing_ok=True)
        none, before, _ = trained(tmp_path, budget, cut_at=at, accumulate=accumulate)
        if none:
            break
        cuts += 1
        resumed, after, resumed_best = trained(tmp_path, budget, 0, tmp_path / "last.ckpt", accumulate)
        assert all(torch.equal(a, b) for a, b in zip(weights, resumed, strict=True)), f"other weights after save {at}"
        # What was logged before the cut and comes again is the same; the journal keeps one of the two.
        assert all(after[step] == before[step] for step in after.keys() & before.keys())
        assert {**before, **after} == curves
        assert resumed_best == best
    assert cuts >= 12, "the cuts must fall in every epoch, at its first batch and at its last but one"
