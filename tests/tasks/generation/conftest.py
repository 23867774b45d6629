"""A small prepared data set: bright bars whose place is their class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl

from quintet.data.spec import DataSpec, load_spec, save
from quintet.tasks.game import Game
from quintet.tasks.generation import Generation
from quintet.training.settings import Training
from tests.tasks.bars import SHAPE, bars

DCGAN = {"family": "gan", "name": "dcgan", "settings": {"latent_dim": 4, "width": 4, "smallest": 2}}


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project") / "data" / "prepared" / "bars"
    splits = {"train": bars(48, 1), "validation": bars(18, 2), "test": bars(24, 3)}
    spec = DataSpec("bars", "image", "class", SHAPE, ("a", "b", "c"), {}, {}, (0.5,), (0.25,), 0, {}, "bars-1")
    save(folder, replace(spec, counts={name: len(split) for name, split in splits.items()}), splits)
    return folder


@pytest.fixture
def objective(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> Generation:
    # The judge is kept below the working directory, as in a project.
    monkeypatch.chdir(prepared.parents[2])
    monkeypatch.setattr("quintet.tasks.generation.judge._STEPS", 60)
    return Generation(load_spec(prepared), prepared)


@pytest.fixture
def game(objective: Generation) -> Callable[..., Game]:
    def make(model: dict[str, Any] = DCGAN, seed: int = 0, **training: Any) -> Game:
        pl.seed_everything(seed, verbose=False)
        settings = {"budget": {"epochs": 2}, "batch_size": 8, "optimiser": {"lr": 0.003, "betas": [0.5, 0.99]}}
        load = objective.inputs.load
        return Game(
            "bars",
            objective.network(model),
            objective,
            load("train"),
            load("validation"),
            Training.model_validate({**settings, **training}),
            seed,
        )

    return make
