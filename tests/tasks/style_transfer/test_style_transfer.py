"""Two domains, what a translation keeps and reaches, and what no network should fall short of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

from quintet.baselines.style_transfer import fit, recolour
from quintet.data.spec import DataSpec, Split, save
from quintet.errors import UserError
from quintet.tasks import TASKS
from quintet.tasks.style_transfer import StyleTransfer, kept
from quintet.tasks.style_transfer.transfer import Transfer
from quintet.training.settings import Training
from tests.tasks.test_resume import Cut, CutAfterSaving

CPU, SHAPE = torch.device("cpu"), (1, 12, 12)
MODEL = {"family": "gan", "name": "cyclegan", "settings": {"width": 8, "num_blocks": 1}}


def squares(count: int, seed: int) -> Split:
    """A square of 6 x 6 somewhere, full (domain 0) or hollow (1)."""
    rng = np.random.default_rng(seed)
    inputs, targets = rng.integers(0, 30, (count, *SHAPE)), np.arange(count) % 2
    for image, target, (top, left) in zip(inputs, targets, rng.integers(0, 7, (count, 2)), strict=True):
        image[0, top : top + 6, left : left + 6] += 200
        if target:
            image[0, top + 2 : top + 4, left + 2 : left + 4] -= 200
    return Split(np.array([f"{seed}-{i:03d}" for i in range(count)]), inputs.astype(np.uint8), targets)


def counterparts(split: Split) -> np.ndarray:
    """The right answers: full squares made hollow, hollow ones filled."""
    images = np.array(split.inputs)
    for image, target in zip(images, split.targets, strict=True):
        rows, columns = np.nonzero(image[0] > 100)
        image[0, rows.min() + 2 : rows.min() + 4, columns.min() + 2 : columns.min() + 4] = 210 if target else 10
    return images


@pytest.fixture(scope="module")
def objective(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StyleTransfer]:
    folder = tmp_path_factory.mktemp("prepared")
    splits = {"train": squares(64, 1), "validation": squares(24, 2), "test": squares(24, 3)}
    spec = DataSpec("squares", "image", "class", SHAPE, ("full", "hollow"), {}, {}, (0.5,), (0.25,), 0, {}, "squares-1")
    save(folder, spec, splits)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("quintet.tasks.generation.judge._STEPS", 60)
        found = StyleTransfer(spec, folder)
        found.ready()
        yield found


@pytest.fixture
def trained(objective: StyleTransfer, tmp_path: Path) -> Callable[..., tuple[Transfer, pl.Trainer]]:
    def run(
        resume: Path | None = None, callbacks: Sequence[pl.Callback] = (), **training: Any
    ) -> tuple[Transfer, pl.Trainer]:
        pl.seed_everything(0, verbose=False)
        settings = {
            "budget": {"epochs": 2},
            "batch_size": 8,
            "optimiser": {"lr": 0.005, "betas": [0.5, 0.99]},
            "adversarial": {"loss": "least-squares", "average": 0.9},
        }
        made = Training.model_validate({**settings, **training})
        splits = objective.inputs.load("train"), objective.inputs.load("validation")
        game = Transfer("squares", objective.network(MODEL), objective, *splits, made, 0)
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=made.budget.epochs,
            logger=False,
            enable_checkpointing=bool(callbacks),
            callbacks=list(callbacks),
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
        )
        trainer.fit(game, ckpt_path=resume, weights_only=True)
        return game, trainer

    return run


def test_neither_a_copy_nor_any_image_of_the_domain_counts_but_a_translation_does(objective):
    test = objective.inputs.load("test")
    images, domain = np.array(test.inputs), np.array(test.targets)
    copies = objective.metrics(objective.restyled(images, images, test))
    assert copies["content"] == pytest.approx(1)
    assert copies["transfer"] < 0.1
    # The right answer for the wrong image.
    strangers = counterparts(test)
    for each in (0, 1):
        strangers[domain == each] = np.roll(strangers[domain == each], 1, axis=0)
    ignoring = objective.restyled(strangers, images, test)
    assert ignoring.more["style"].mean() > 0.9
    assert ignoring.score.mean() < 0.4
    assert set(copies) == set(TASKS["style_transfer"].metrics)


def test_content_is_beyond_what_images_of_a_domain_share():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 3, 8, 8)).astype(np.uint8)
    domain = np.array([0, 0, 0, 1, 1, 1])
    assert np.allclose(kept(images, images, domain), 1)
    assert np.allclose(kept((images // 2 + 40).astype(np.uint8), images, domain), 1, atol=0.01), "tone is no content"
    same = np.repeat(images[:1], 6, 0)
    assert kept(same, images, domain)[1:3].max() < 0.2
    assert (kept(np.zeros_like(images), images, domain) == 0).all()


def test_the_distance_of_a_copy_is_that_between_the_domains(objective):
    """Were both directions thrown together, copies would be as near to the test images as can be."""
    test = objective.inputs.load("test")
    images = np.array(test.inputs)
    copies, right = (objective.metrics(objective.restyled(made, images, test)) for made in (images, counterparts(test)))
    assert right["frechet_distance"] < 0.2 * copies["frechet_distance"]


def test_colours_have_the_other_domains_mean_and_deviation_and_come_back(objective):
    train = objective.inputs.load("train")
    images = np.stack([np.full((1, 2, 2), value, np.uint8) for value in (50, 60)])
    known = [
        (np.full((1, 1, 1), 50.0), np.full((1, 1, 1), 10.0)),
        (np.full((1, 1, 1), 100.0), np.full((1, 1, 1), 20.0)),
    ]
    moved = recolour(images, np.zeros(2, np.int64), known)
    assert moved[:, 0, 0, 0].tolist() == [100, 120]
    assert np.array_equal(recolour(moved, np.ones(2, np.int64), known), images)
    test = objective.inputs.load("test")
    found = {name: fit(name, objective, train, train) for name in TASKS["style_transfer"].baselines["image"]}
    assert {name: one.parameters for name, one in found.items()} == {"unchanged": 0, "colour-statistics": 4}
    scores = {name: objective.metrics(one.predict(test)) for name, one in found.items()}
    assert scores["unchanged"]["cycle_error"] == 0
    assert scores["unchanged"]["transfer"] < 0.1


def test_a_network_learns_what_colours_can_not_without_pairs(trained, objective, tmp_path):
    game, trainer = trained(budget={"epochs": 16})
    assert trainer.global_step == 128, "one batch is one step"
    test = objective.inputs.load("test")
    found = objective.predict(game.network.eval(), test, CPU)
    assert objective.metrics(found)["transfer"] > 0.5
    assert objective.metrics(found)["cycle_error"] < 0.15
    files = objective.write(tmp_path, {0: found, 3: found})
    assert files == ["transfer.json", "transfer-seed-0.png", "transfer-seed-3.png"]
    assert set(json.loads((tmp_path / "transfer.json").read_text())["into"]["3"]) == {"full", "hollow"}
    with Image.open(tmp_path / "transfer-seed-0.png") as picture:
        assert picture.size == (10 * 38 + 2, 6 * 38 + 2)
    assert game.write(tmp_path) == ["samples.png", "samples.gif", "game.json"]
    assert objective.called(game.network)(objective.inputs.example(2, CPU)).shape == (2, *SHAPE)


def test_a_resumed_training_comes_to_the_same_weights(trained, tmp_path):
    changes = {"augment": ["translation"], "identity": 2.0, "r1": 1.0, "penalty_every": 2}
    whole, _ = trained(adversarial=changes)
    with pytest.raises(Cut):
        trained(adversarial=changes, callbacks=[CutAfterSaving(tmp_path / "last.ckpt", 11)])
    resumed, trainer = trained(tmp_path / "last.ckpt", adversarial=changes)
    assert trainer.global_step == 16
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_batch_of_one_domain_alone_has_a_game_of_its_own(trained, objective):
    game, _ = trained()
    game.zero_grad()
    images = objective.inputs.network_input(torch.from_numpy(np.array(objective.inputs.load("train").inputs[1:3])))
    make, verdicts, more = game._sides(images, torch.ones(2, dtype=torch.long))
    fake = make()
    verdicts(fake).mean().backward(retain_graph=True)
    into_first, into_second = ([p.grad for p in net.parameters()] for net in game.live.translator)
    assert all(grad is None or not grad.any() for grad in into_first)
    assert all(grad is not None for grad in into_second)
    more(fake).backward()
    assert any(p.grad is not None and p.grad.any() for p in game.live.translator[0].parameters()), "the way back"


def test_data_with_more_domains_or_too_few_images_are_refused(objective):
    spec = objective.spec
    with pytest.raises(UserError, match="has 3 classes, and task style_transfer takes them for its two domains"):
        StyleTransfer(replace(spec, classes=("a", "b", "c")))
    with pytest.raises(UserError, match="has 5 images of a domain in its test split"):
        StyleTransfer(replace(spec, class_counts={"validation": [9, 6], "test": [5, 9]}))
    stored, targets = objective.inputs.collate(objective.inputs.load("train"), np.arange(4))
    network = objective.network(MODEL)
    training = Training.model_validate({"budget": {"epochs": 1}, "optimiser": {"lr": 0.1}})
    objective.loss(network, objective.inputs.network_input(stored), targets, training).backward()
    assert all(p.grad is not None for p in network.parameters())
