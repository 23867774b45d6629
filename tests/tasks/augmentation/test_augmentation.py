"""A classifier that learns from real images, from made ones, and without them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from quintet.baselines.augmentation import fit
from quintet.data.spec import DataSpec, save
from quintet.errors import UserError
from quintet.tasks import TASKS
from quintet.tasks.augmentation import Augmentation
from quintet.tasks.augmentation.classifier import teach
from quintet.tasks.game import Game
from quintet.training.settings import Training
from tests.tasks.bars import SHAPE, bars

CPU = torch.device("cpu")
CGAN = {"family": "gan", "name": "cgan", "settings": {"latent_dim": 4, "hidden_size": 20, "units": 8}}


@pytest.fixture(scope="module")
def objective(tmp_path_factory: pytest.TempPathFactory) -> Augmentation:
    folder = tmp_path_factory.mktemp("prepared")
    splits = {"train": bars(48, 1), "validation": bars(18, 2), "test": bars(24, 3)}
    spec = DataSpec("bars", "image", "class", SHAPE, ("a", "b", "c"), {}, {}, (0.5,), (0.25,), 0, {}, "bars-1")
    counts = {name: len(split) for name, split in splits.items()}
    save(folder, replace(spec, counts=counts, class_counts={"train": [16, 16, 16]}), splits)
    made = Augmentation(replace(spec, counts=counts, class_counts={"train": [16, 16, 16]}), folder)
    made.learnt_from(6, 0)
    return made


class Wrong(nn.Module):
    """A generator that makes bars of the class after the one that it is told."""

    latent_dim, conditional = 2, True

    def generate(self, latent: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        images = torch.full((len(labels), *SHAPE), -0.8)
        for image, label in zip(images, labels.tolist(), strict=True):
            image[0, 3 * ((label + 1) % 3) :][:2] = 0.6
        return images


def test_generator_and_classifier_learn_from_the_same_few_images(objective: Augmentation) -> None:
    assert np.bincount(objective.real.targets).tolist() == [2, 2, 2]
    known = objective.inputs.load("train", 6, 0)
    assert objective.real.ids.tolist() == known.ids.tolist()


def test_what_images_are_made_decides_what_is_learnt(objective: Augmentation, monkeypatch: pytest.MonkeyPatch) -> None:
    test = objective.inputs.load("test")
    alone = objective.predict(Wrong().eval(), test, CPU)
    assert set(objective.metrics(alone)) == set(TASKS["augmentation"].metrics)
    monkeypatch.setattr("quintet.tasks.augmentation.classifier._SHARE", 0.95)
    misled = objective.predict(Wrong().eval(), test, CPU)
    assert (
        misled.score.mean() < 0.2 < 0.9 < fit("real-alone", objective, objective.real, test).predict(test).score.mean()
    )
    # The cheap look of each epoch sees made images alone, and so sees it too.
    assert objective.validate(Wrong().eval(), test, CPU).score.mean() == 0


def test_a_classifier_is_the_same_whatever_was_drawn_before(objective: Augmentation) -> None:
    images = np.asarray(objective.inputs.load("test").inputs)
    one = teach(objective.spec, objective.real, 3).log_probabilities(images)
    torch.rand(5)
    state = torch.random.get_rng_state()
    assert torch.equal(one, teach(objective.spec, objective.real, 3).log_probabilities(images))
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.allclose(one.exp().sum(1), torch.ones(len(images)))


def test_shifted_images_stay_black_at_their_edge(objective: Augmentation) -> None:
    """Zeros are padded before images go from -1 to 1: else a shifted digit would have a grey rim."""
    seen: list[tuple[float, float]] = []
    changes = objective.inputs.augmentation(
        Training.model_validate(
            {"budget": {"epochs": 1}, "optimiser": {"lr": 1.0}, "augment": {"crop": 1, "rotate": 15.0}}
        ).augment
    )

    def look(images: torch.Tensor) -> torch.Tensor:
        changed = changes(images)
        seen.append((float(images.min()), float(changed.min())))
        return changed

    teach(objective.spec, objective.real, 0, changes=look)
    assert all(before >= 0 and after >= 0 for before, after in seen)
    fitted = fit("shifted-and-turned", objective, objective.real, objective.real)
    assert fitted.settings == {"crop": 1, "rotate": 15.0}
    assert fitted.predict(objective.inputs.load("test")).score.mean() > 0.8


def test_a_generator_is_trained_in_its_game_and_shown(objective: Augmentation, tmp_path: Path) -> None:
    pl.seed_everything(0, verbose=False)
    settings: dict[str, Any] = {"budget": {"epochs": 2}, "batch_size": 8, "optimiser": {"lr": 0.003}}
    game = Game(
        "bars",
        objective.network(CGAN),
        objective,
        objective.real,
        objective.inputs.load("validation"),
        Training.model_validate(settings),
        0,
    )
    pl.Trainer(
        accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(game)  # fmt: skip
    assert len(game.history) == 2
    found = objective.predict(game.network.eval(), objective.inputs.load("test"), CPU)
    assert objective.write(tmp_path, {0: found}) == ["confusion.json", "confusion.png", "samples-seed-0.png"]
    assert np.bincount(found.classes).tolist() == [334, 333, 333]


@pytest.mark.parametrize(("labels", "told"), [(2, "each of which needs an example"), (49, "has 48 training examples")])
def test_more_or_fewer_labels_than_there_can_be_are_refused(objective: Augmentation, labels: int, told: str) -> None:
    with pytest.raises(UserError, match=f"experiments.x.labels: is {labels}, .*{told}"):
        objective.inputs.labelled(labels, "experiments.x.labels")
    assert objective.inputs.labelled(0.25, "") == 12
