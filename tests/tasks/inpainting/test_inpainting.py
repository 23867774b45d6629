"""Holes, repairs, and what no network should fall short of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from torchmetrics.functional.image import structural_similarity_index_measure

from quintet.baselines.inpainting import biharmonic, fit, mean_fill
from quintet.data.spec import DataSpec, Split, save
from quintet.tasks import TASKS
from quintet.tasks.inpainting import Inpainting, holes, ssim
from quintet.tasks.inpainting.repair import Repair
from quintet.training.settings import Training

CPU, SHAPE = torch.device("cpu"), (1, 8, 8)
CONTEXT = {"family": "gan", "name": "context-encoder", "settings": {"width": 16, "smallest": 2}}
PIX2PIX = {"family": "gan", "name": "pix2pix", "settings": {"width": 16}}


def stripes(count: int, seed: int) -> Split:
    """Upright or level stripes: half an image tells the other half."""
    rng = np.random.default_rng(seed)
    inputs = np.zeros((count, *SHAPE), np.uint8)
    targets = np.arange(count) % 2
    for image, target, phase in zip(inputs, targets, rng.integers(0, 4, count), strict=True):
        lines = np.where((np.arange(8) + phase) % 4 < 2, 220, 30)
        image[0] = lines[:, None] if target else lines
    return Split(np.array([f"{seed}-{i:03d}" for i in range(count)]), inputs, targets)


@pytest.fixture(scope="module")
def objective(tmp_path_factory: pytest.TempPathFactory) -> Inpainting:
    folder = tmp_path_factory.mktemp("prepared")
    splits = {"train": stripes(48, 1), "validation": stripes(16, 2), "test": stripes(16, 3)}
    spec = DataSpec("stripes", "image", "class", SHAPE, ("up", "level"), {}, {}, (0.5,), (0.25,), 0, {}, "stripes-1")
    save(folder, spec, splits)
    return Inpainting(spec, folder)


@pytest.fixture
def repaired(objective: Inpainting, tmp_path: Path) -> Callable[..., tuple[Repair, pl.Trainer]]:
    def run(model: dict[str, Any], **training: Any) -> tuple[Repair, pl.Trainer]:
        pl.seed_everything(0, verbose=False)
        settings = {"budget": {"epochs": 2}, "batch_size": 8, "optimiser": {"lr": 0.005, "betas": [0.5, 0.99]}}
        made = Training.model_validate({**settings, **training})
        splits = objective.inputs.load("train"), objective.inputs.load("validation")
        game = Repair("stripes", objective.network(model), objective, *splits, made, 0)
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=made.budget.epochs,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
        )
        trainer.fit(game)
        return game, trainer

    return run


def test_a_hole_is_a_square_of_half_the_side_anywhere_inside():
    found = holes(200, (3, 12, 8), np.random.default_rng(0))
    assert (found.flatten(1).sum(1) == 16).all()
    assert found.any(0).all(), "every pixel is in some hole"
    assert len({tuple(hole.flatten().tolist()) for hole in found}) == 9 * 5


def test_a_perfect_repair_and_one_that_is_a_tenth_off_have_the_known_figures(objective):
    test = objective.inputs.load("test")
    perfect = objective.metrics(objective.repaired(np.array(test.inputs), test))
    assert perfect == pytest.approx({"psnr": 60, "ssim": 1, "absolute_error": 0})
    off = np.where(np.array(test.inputs) > 100, test.inputs - 51, test.inputs + 51).astype(np.uint8)
    found = objective.metrics(objective.repaired(off, test))
    # -10 log10 of 0.2 squared, whatever lies outside the hole.
    assert found["psnr"] == pytest.approx(13.979, abs=1e-3)
    assert found["absolute_error"] == pytest.approx(0.2)
    assert found["ssim"] < 0.95
    assert set(found) == set(TASKS["inpainting"].metrics)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 12)])
def test_structural_similarity_is_that_of_torchmetrics(shape):
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (5, *shape), np.uint8)
    b = np.where(rng.random(a.shape) < np.linspace(0, 1, 5)[:, None, None, None], rng.integers(0, 256, a.shape), a)
    window = min(11, (min(shape[1:]) - 1) // 2 * 2 + 1)
    theirs = structural_similarity_index_measure(
        torch.from_numpy(a).double(),
        torch.from_numpy(b).double(),
        gaussian_kernel=False,
        kernel_size=window,
        data_range=255.0,
        reduction="none",
    )
    ours = ssim(a, b.astype(np.uint8))
    assert ours == pytest.approx(theirs.numpy(), abs=1e-9)
    assert ours[0] == pytest.approx(1)
    assert ours[-1] < 0.3


def test_outside_the_hole_an_image_stays_as_it_was(objective):
    test = objective.inputs.load("test")
    found = objective.repaired(np.full(test.inputs.shape, 7, np.uint8), test)
    hole = objective.holes_of(test).numpy()
    assert (found.images[hole] == 7).all()
    assert np.array_equal(found.images[~hole], test.inputs[~hole])


def test_the_biharmonic_surface_continues_a_slope_and_the_mean_does_not():
    slope = np.add.outer(10.0 * np.arange(8), 5.0 * np.arange(9))[None]
    hole = np.zeros((8, 9), bool)
    hole[2:6, 3:7] = True
    broken = np.where(hole, 0, slope)
    assert np.allclose(biharmonic(broken, hole), slope)
    assert np.allclose(mean_fill(broken, hole)[0, hole], slope[0, ~hole].mean())


def test_networks_repair_what_a_smooth_surface_can_not(repaired, objective):
    """Stripes are told by what is around the hole, but not as a smooth surface."""
    test, train = objective.inputs.load("test"), objective.inputs.load("train")
    smooth, mean = (
        objective.metrics(fit(name, objective, train, train).predict(test))["psnr"]
        for name in ("biharmonic", "mean-fill")
    )
    for model in (CONTEXT, PIX2PIX):
        game, trainer = repaired(model, budget={"epochs": 8}, adversarial={"average": 0.9})
        assert trainer.global_step == 48
        found = objective.metrics(objective.predict(game.network.eval(), test, CPU))["psnr"]
        assert found > max(smooth, mean) + 2


def test_holes_of_a_step_are_found_again(repaired):
    (one, _), (other, _) = repaired(CONTEXT), repaired(CONTEXT)
    for a, b in zip(one.live.parameters(), other.live.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_training_is_shown_as_repairs_of_the_same_images(repaired, objective, tmp_path):
    game, _ = repaired(PIX2PIX, adversarial={"augment": ["colour", "translation", "cutout"]})
    assert game.write(tmp_path) == ["samples.png", "samples.gif", "game.json"]
    found = objective.predict(game.network.eval(), objective.inputs.load("test"), CPU)
    kinds = ("repairs", "worst-repairs", "best-repairs")
    files = objective.write(tmp_path, {0: found, 1: found})
    assert files == [f"{kind}-seed-{seed}.png" for seed in (0, 1) for kind in kinds]
    with Image.open(tmp_path / "worst-repairs-seed-0.png") as worst, Image.open(tmp_path / files[2]) as best:
        repaired_and_original = [np.asarray(picture)[44:, 2:42].astype(int) for picture in (worst, best)]
    off = [np.abs(column[:40] - column[42:82]).mean() for column in repaired_and_original]
    assert off[0] > off[1]
    assert objective.called(game.network)(objective.inputs.example(2, CPU)).shape == (2, *SHAPE)
    stored, targets = objective.inputs.collate(objective.inputs.load("train"), np.arange(4))
    game.network.requires_grad_(True)
    objective.loss(game.network, objective.inputs.network_input(stored), targets, game.training_settings).backward()
