"""The game: budgets, the average, penalties, troubles, and going on after a cut."""

from __future__ import annotations

import contextlib
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.loggers.logger import Logger
from torch import nn

from quintet.errors import UserError
from quintet.tasks.game import Game
from quintet.training.checkpoints import BestWeights, ResumePoint
from tests.tasks.generation.conftest import DCGAN

STYLEGAN = {
    "family": "gan",
    "name": "stylegan",
    "settings": {"latent_dim": 4, "mapping_layers": 1, "width": 4, "max_width": 4},
}
GAN = {"family": "gan", "name": "gan", "settings": {"latent_dim": 4, "hidden_size": 8, "units": 4, "dropout": 0.3}}
VAE = {"family": "cnn", "name": "vae", "settings": {"latent_dim": 4, "width": 4}}
GPT = {
    "family": "transformer",
    "name": "image-gpt",
    "settings": {"levels": 4, "embed_dim": 16, "num_layers": 1, "num_heads": 2},
}
EVERYTHING = {"r1": 1.0, "path_length": 1.0, "penalty_every": 3, "augment": ["colour", "translation", "cutout"]}


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


class Epochs(pl.Callback):
    """What was logged at each epoch's end, without the time it took."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, float]] = {}

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._note(trainer)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._note(trainer)

    def _note(self, trainer: pl.Trainer) -> None:
        row = {k: float(v) for k, v in trainer.callback_metrics.items() if k != "seconds"}
        if row:
            self.rows[trainer.global_step] = row


def fit(
    game: Game, folder: Path, *callbacks: pl.Callback, resume: Path | None = None, precision: Any = "32-true"
) -> pl.Trainer:
    budget = game.training_settings.budget
    trainer = pl.Trainer(
        accelerator="cpu",
        precision=precision,
        max_epochs=budget.epochs or -1,
        max_steps=budget.steps or -1,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=bool(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(game, ckpt_path=resume, weights_only=True)
    return trainer


def weights(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("budget", [{"steps": 8}, {"epochs": 2}])
def test_a_batch_is_one_step_however_often_the_players_step(game, tmp_path, budget):
    made = game(budget=budget, adversarial={"discriminator_steps": 3})
    trainer = fit(made, tmp_path)
    assert trainer.global_step == (8 if "steps" in budget else 12)
    assert made.progress > 0.99


def test_what_is_kept_is_the_average_of_the_generator_and_the_discriminator_as_it_is(game, tmp_path):
    made = game(budget={"steps": 6}, adversarial={"average": 0.9})
    fit(made, tmp_path)
    kept, live = made.network, made.live
    assert not torch.equal(kept.generator.layers[0].weight, live.generator.layers[0].weight)
    for one, other in zip(kept.discriminator.parameters(), live.discriminator.parameters(), strict=True):
        assert torch.equal(one, other)
    without = game(budget={"steps": 6}, adversarial={"average": 0.0})
    fit(without, tmp_path)
    assert torch.equal(without.network.generator.layers[0].weight, without.live.generator.layers[0].weight)


@pytest.mark.parametrize(
    ("model", "adversarial", "budget"),
    [
        (GAN, {}, {"epochs": 2}),
        (None, {"loss": "hinge"}, {"epochs": 2}),
        (STYLEGAN, EVERYTHING, {"steps": 8}),
        (VAE, {}, {"epochs": 2}),
    ],
    ids=["gan", "dcgan", "stylegan", "vae"],
)
def test_a_training_cut_off_anywhere_goes_on_to_the_same_weights_curves_and_pictures(
    game, tmp_path, model, adversarial, budget
):
    def made() -> Game:
        more: dict[str, Any] = {"budget": budget, "adversarial": adversarial, "augment": {"flip": True}}
        return game(model, **more) if model else game(**more)

    def run(at: int, resume: Path | None = None) -> tuple[Game, dict[int, dict[str, float]]]:
        one, rows = made(), Epochs()
        best = BestWeights(tmp_path / "best.safetensors", higher_is_better=True)
        with contextlib.suppress(Cut):
            fit(one, tmp_path, best, rows, CutAfterSaving(tmp_path / "last.ckpt", at), resume=resume)
        return one, rows.rows

    whole, curves = run(at=0)
    for at in range(1, 20):
        (tmp_path / "last.ckpt").unlink(missing_ok=True)
        _, before = run(at)
        if not (tmp_path / "last.ckpt").exists():
            break
        after, rest = run(0, tmp_path / "last.ckpt")
        for name, value in weights(whole).items():
            assert torch.equal(value, weights(after)[name]), (at, name)
        assert {**before, **rest} == curves
        assert np.array_equal(np.stack(after.history), np.stack(whole.history))
        assert after.troubles == whole.troubles
    assert at > 6, "the cuts must fall in every epoch"


@pytest.mark.parametrize(("model", "adversarial"), [(DCGAN, {"gradient_penalty": 1.0}), (STYLEGAN, EVERYTHING)])
def test_in_16_bits_the_game_takes_nearly_the_same_course(game, tmp_path, model, adversarial):
    losses = []
    for precision in ("32-true", "bf16-mixed"):
        made = game(model, budget={"epochs": 2}, adversarial=adversarial)
        metrics = fit(made, tmp_path, precision=precision).callback_metrics
        losses.append([float(metrics[name]) for name in ("train_loss", "generator_loss", "diversity")])
        assert {value.dtype for value in weights(made.network).values()} <= {torch.float32, torch.int64}
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


@pytest.mark.parametrize("loss", ["minimax", "wasserstein", "least-squares"])
def test_every_game_can_be_played(game, tmp_path, loss):
    made = game(budget={"steps": 4}, adversarial={"loss": loss, "gradient_penalty": 10.0}, gradient_clip=1.0)
    before = weights(made.live)
    trainer = fit(made, tmp_path)
    assert {k for k, v in weights(made.live).items() if torch.equal(v, before[k])} == set()
    assert {"generator_loss", "discriminator_right", "diversity"} <= set(trainer.callback_metrics)


def test_a_penalised_discriminator_is_flatter(game, tmp_path):
    def slope(r1: float) -> float:
        made = game(budget={"epochs": 3}, optimiser={"lr": 0.02}, adversarial={"r1": r1, "penalty_every": 2})
        fit(made, tmp_path)
        images = made.objective.inputs.network_input(torch.from_numpy(made.validation_split.inputs.copy()))
        images.requires_grad_()
        made.live.discriminator.eval().requires_grad_(True)
        made.live.discriminator(images, None).sum().backward()
        return images.grad.flatten(1).norm(dim=1).mean().item()

    assert slope(10.0) < 0.5 * slope(0.0)


@pytest.mark.parametrize("model", [VAE, GPT], ids=["vae", "image-gpt"])
def test_a_likelihood_falls(game, tmp_path, model):
    losses = []
    for epochs in (1, 8):
        made = game(model, budget={"epochs": epochs}, optimiser={"lr": 0.01})
        losses.append(float(fit(made, tmp_path).callback_metrics["train_loss"]))
        assert "discriminator_right" not in made.trainer.callback_metrics
    assert losses[1] < 0.9 * losses[0]


def test_collapse_and_a_discriminator_that_has_won_are_said_once(game, tmp_path, caplog):
    made = game(budget={"epochs": 4}, adversarial={"average": 0.0})
    with torch.no_grad():  # every latent gives black images, and no step changes that
        made.live.generator.layers[-2].register_forward_hook(lambda *args: args[2] * 0 - 30)
    made.network = made.network.__class__((1, 8, 8), 3, latent_dim=4, width=4, smallest=2)
    made.network.generate = lambda latent, labels=None: torch.full((len(latent), 1, 8, 8), -1.0)
    made.network.requires_grad_(False)
    made.training_settings.optimiser.__dict__["lr"] = 0.02
    with caplog.at_level(logging.WARNING):
        fit(made, tmp_path)
    assert [trouble["trouble"] for trouble in made.troubles] == ["collapse", "saturation"]
    assert made.troubles[0]["epoch"] == 1
    said = [r.getMessage() for r in caplog.records if "bars, seed 0" in r.getMessage()]
    assert sum("the generator has collapsed" in line for line in said) == 1
    assert sum("it has won" in line for line in said) == 1


def test_a_loss_that_is_not_finite_is_named_with_its_step(game, tmp_path):
    made = game(adversarial={"average": 0.5})
    with torch.no_grad():
        made.live.generator.layers[0].weight.fill_(float("inf"))
    with pytest.raises(UserError, match=r"the loss is nan at step 1 .*so the learning rate 0.003 is probably too high"):
        fit(made, tmp_path)


def test_path_lengths_need_styles(game):
    with pytest.raises(UserError, match="path_length: this generator has no styles; set it to 0, or take stylegan"):
        game(adversarial={"path_length": 2.0})


class Listener(Logger):
    """Takes images as some of Lightning's loggers do."""

    name, version = "listener", ""

    def __init__(self) -> None:
        super().__init__()
        self.images: list[tuple[str, int, tuple[int, ...]]] = []

    def log_image(self, key: str, images: list[np.ndarray], step: int) -> None:
        self.images += [(key, step, image.shape) for image in images]

    def log_metrics(self, *args: Any, **kwargs: Any) -> None: ...
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None: ...


def test_a_training_leaves_an_animation_of_the_same_latents_and_says_what_went_wrong(game, tmp_path):
    made = game(budget={"epochs": 14})
    listener = Listener()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=14,
        logger=listener,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(made)
    made.troubles = [{"trouble": "collapse", "epoch": 3, "what": "all alike"}]
    assert made.write(tmp_path) == ["samples.png", "samples.gif", "game.json"]
    game_ = json.loads((tmp_path / "game.json").read_text())
    assert game_["troubles"] == made.troubles
    assert len(game_["epochs"]) == 12
    assert (game_["epochs"][0], game_["epochs"][-1]) == (1, 14)
    with Image.open(tmp_path / "samples.gif") as film, Image.open(tmp_path / "samples.png") as strip:
        assert film.n_frames == 14
        assert strip.height == 2 + 12 * (film.height - 2)
    # After the first epoch and the last, and at most eight times; 18 images make one row of ten.
    assert [key for key, _, _ in listener.images] == ["samples"] * 8
    steps = [step for _, step, _ in listener.images]
    assert (steps[0], steps[-1]) == (6, 84)
    assert {shape for _, _, shape in listener.images} == {(44, 422, 1)}
