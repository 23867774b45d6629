"""Classification learns, keeps to its budget, says when it diverges, and goes on where it was stopped."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping
from sklearn.metrics import accuracy_score, f1_score, log_loss
from torch import nn

from quintet.data.spec import DataSpec, Split
from quintet.errors import UserError
from quintet.tasks import TASKS, supervised
from quintet.tasks.classification import Classification
from quintet.tasks.objective import Predictions
from quintet.training.augmentation import augmentation
from quintet.training.batches import step_seed
from quintet.training.checkpoints import ResumePoint
from quintet.training.images import normalise

CPU = torch.device("cpu")
SMALL = {
    "cnn": {"family": "cnn", "name": "resnet-cifar", "settings": {"depth": 8, "width": 8}},
    "transformer": {
        "family": "transformer",
        "name": "vit",
        "settings": {"patch_size": 4, "embed_dim": 16, "num_layers": 1, "num_heads": 2, "dropout": 0.0},
    },
    "rnn": {"family": "rnn", "name": "gru", "settings": {"hidden_size": 16, "num_layers": 1}},
}


class Watch(Checkpoint):
    """What a training went through, step by step and epoch by epoch; Lightning calls a Checkpoint after the task."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.epochs: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])
        self.losses.append(float(outputs["loss"]))

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.epochs.append({key: float(value) for key, value in trainer.callback_metrics.items()})


@pytest.mark.parametrize("family", SMALL)
def test_one_batch_is_learnt_by_heart(family, made, fit, train):
    task = made(SMALL[family], budget={"steps": 150}, optimiser={"lr": 0.02, "name": "adamw"})
    task.train_split = Split(train.ids[:8], train.inputs[:8], train.targets[:8])
    fit(task)
    found = task.objective.predict(task.network.eval(), task.train_split, CPU)
    assert found.score.mean() == 1
    assert found.loss < 0.05


def test_what_is_learnt_holds_for_examples_it_has_not_seen(made, fit, validation):
    watch = Watch()
    task = made(budget={"epochs": 12})
    fit(task, watch)
    assert [epoch["validation_score"] for epoch in watch.epochs][-1] >= 0.9
    assert watch.epochs[-1]["train_loss"] < watch.epochs[0]["train_loss"] < math.log(3) * 1.2


def test_the_first_loss_is_that_of_a_guess(made, fit):
    watch = Watch()
    fit(made(budget={"steps": 1}), watch)
    assert watch.epochs[0]["train_loss"] == pytest.approx(math.log(3), rel=1e-5)


def test_an_epochs_loss_is_the_mean_of_its_own_steps(made, fit):
    watch = Watch()
    fit(made(budget={"steps": 10}), watch)
    assert [epoch["train_loss"] for epoch in watch.epochs] == pytest.approx(
        [np.mean(watch.losses[:6]), np.mean(watch.losses[6:])], rel=1e-5
    )


def test_validation_sees_every_example_once_in_eval_mode(made, fit, validation):
    seen: list[torch.Tensor] = []
    modes = set()

    def spy(module: nn.Module, inputs: Any, output: Any) -> None:
        if torch.is_inference_mode_enabled():
            seen.append(inputs[0])
            modes.add(module.training)

    task = made(budget={"epochs": 1})
    task.network.register_forward_hook(spy)
    watch = Watch()
    fit(task, watch)
    assert torch.equal(torch.cat(seen), task.objective.inputs.network_input(torch.from_numpy(validation.inputs)))
    assert modes == {False}
    assert task.network.training
    found = task.objective.predict(task.network.eval(), validation, CPU)
    assert watch.epochs[0]["validation_score"] == pytest.approx(found.score.mean())
    assert watch.epochs[0]["validation_loss"] == pytest.approx(found.loss, rel=1e-5)


@pytest.mark.parametrize("steps", [1, 6, 8, 13])
def test_a_budget_of_steps_is_kept_to_the_step_and_ends_with_a_validation(steps, made, fit):
    watch = Watch()
    trainer = fit(made(budget={"steps": steps}), watch)
    assert trainer.global_step == len(watch.rates) == steps
    assert len(watch.epochs) == math.ceil(steps / 6)
    assert "validation_score" in watch.epochs[-1]


def test_a_budget_of_epochs_sees_the_data_that_often(made, fit):
    watch = Watch()
    trainer = fit(made(budget={"epochs": 3}), watch)
    assert (trainer.current_epoch, trainer.global_step, len(watch.epochs)) == (3, 18, 3)


@pytest.fixture
def clock(monkeypatch):
    """The task's clock goes on by a hundredth of a second whenever it is looked at."""
    ticks = itertools.count()
    monkeypatch.setattr(supervised, "time", SimpleNamespace(monotonic=lambda: next(ticks) / 100))


def test_a_budget_of_seconds_ends_in_time_with_a_validation_and_a_falling_rate(made, fit, clock):
    watch = Watch()
    task = made(budget={"seconds": 2.0}, schedule={"name": "cosine", "warmup": 0.25})
    fit(task, watch)
    assert 2.0 <= task.seconds < 2.1
    assert "validation_score" in watch.epochs[-1]
    assert len(watch.rates) > 50
    peak = int(np.argmax(watch.rates))
    assert peak / len(watch.rates) == pytest.approx(0.25, abs=0.05)
    assert watch.rates[peak] == pytest.approx(0.003, rel=0.05)
    assert watch.rates == sorted(watch.rates[: peak + 1]) + sorted(watch.rates[peak + 1 :], reverse=True)
    assert watch.rates[-1] < 0.00001
    assert task.progress == 1


def test_the_rate_follows_the_schedule_over_steps_and_is_never_zero(made, fit):
    watch = Watch()
    fit(made(budget={"epochs": 2}, optimiser={"lr": 0.1}, schedule={"name": "cosine", "warmup": 0.5}), watch)
    half = [0.1 * (step + 0.5) / 6 for step in range(6)]
    fall = [0.05 * (1 + math.cos(math.pi * (step + 0.5) / 6)) for step in range(6)]
    assert watch.rates == pytest.approx(half + fall)


def test_a_batch_in_parts_gives_the_same_steps(made, fit):
    weights = []
    for parts in (1, 2):
        task = made(budget={"epochs": 2}, accumulate=parts)
        trainer = fit(task)
        assert trainer.global_step == 12
        weights.append(torch.nn.utils.parameters_to_vector(task.network.parameters()).detach())
    assert torch.allclose(weights[0], weights[1], atol=1e-5)


def test_early_stopping_ends_before_the_budget(made, fit):
    task = made(budget={"epochs": 40}, optimiser={"lr": 1e-12})
    stopper = EarlyStopping("validation_score", mode="max", patience=2, check_on_train_epoch_end=True)
    assert fit(task, stopper).current_epoch == 3


@pytest.mark.parametrize("family", SMALL)
def test_a_training_can_be_repeated_exactly(family, made, fit):
    weights = []
    for noise in (1, 2):
        task = made(SMALL[family], seed=5, budget={"epochs": 2}, augment={"crop": 1, "flip": True, "erase": 0.5})
        torch.manual_seed(noise)
        np.random.seed(noise)
        fit(task)
        weights.append(task.network.state_dict())
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_another_seed_is_another_training(made, fit):
    losses = set()
    for seed in (0, 1):
        watch = Watch()
        fit(made(seed=seed), watch)
        losses.add(watch.epochs[-1]["train_loss"])
    assert len(losses) == 2


def test_training_is_cross_entropy_on_augmented_normalised_batches(made, fit):
    """The first step's loss, by hand."""
    settings = {"augment": {"crop": 1, "rotate": 15}, "label_smoothing": 0.2, "budget": {"steps": 1}}
    task = made(seed=3, **settings)
    nn.init.normal_(task.network.head.weight)
    by_hand = made(seed=3, **settings)
    by_hand.network.load_state_dict(task.network.state_dict())
    watch = Watch()
    fit(task, watch)

    order = np.random.default_rng((3, 0)).permutation(48)[:8]
    torch.manual_seed(step_seed(3, 0))
    spec = task.objective.spec
    images = normalise(torch.from_numpy(task.train_split.inputs[order]), spec.mean, spec.std)
    changed = augmentation(by_hand.training_settings.augment)(images)
    targets = torch.from_numpy(task.train_split.targets[order])
    loss = F.cross_entropy(by_hand.network.train()(changed), targets, label_smoothing=0.2)
    assert watch.epochs[0]["train_loss"] == pytest.approx(loss.item(), rel=1e-5)


def test_a_learning_rate_far_too_high_is_named_with_the_step(made, fit):
    with pytest.raises(UserError) as caught:
        fit(made(optimiser={"name": "sgd", "lr": 1e30}, seed=7))
    told = str(caught.value)
    assert told.startswith("experiment bars, seed 7: the loss is ")
    assert " at step 3 (epoch 1); weights have grown to " in told
    assert "so the learning rate 1e+30 is probably too high; lower training.optimiser.lr or set " in told


def test_weights_that_are_no_numbers_are_not_called_sound(made, fit):
    task = made()
    with torch.no_grad():
        list(task.network.parameters())[1][0] = float("nan")
    with pytest.raises(UserError, match=r"the loss is nan at step 1 \(epoch 1\); weights have grown to nan"):
        fit(task)


class Overflows(nn.Module):
    """Sound weights whose output is too large from the n-th step on."""

    def __init__(self, network: nn.Module, step: int) -> None:
        super().__init__()
        self.network, self.step, self.calls = network, step, 0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        return self.network(inputs) * (float("inf") if self.calls >= self.step else 1.0)


def test_an_overflow_with_sound_weights_is_laid_on_the_precision(made, fit):
    task = made()
    task.network = Overflows(task.network, step=9)
    with pytest.raises(UserError) as caught:
        fit(task)
    told = str(caught.value)
    assert "the loss is nan at step 9 (epoch 2); the weights are sound (largest " in told
    assert told.endswith("so 32-true overflowed; set trainer.precision to 32-true, or lower training.optimiser.lr")


def test_losses_fetched_in_bundles_still_name_their_step(made, fit, monkeypatch):
    monkeypatch.setattr("quintet.tasks.supervised._FETCH_EVERY", {})
    task = made()
    task.network = Overflows(task.network, step=4)
    with pytest.raises(UserError, match=r"at step 4 \(epoch 1\)"):
        fit(task)


def test_gradient_clipping_tames_a_high_rate(made, fit):
    free, clipped = (made(optimiser={"name": "sgd", "lr": 0.05}, gradient_clip=clip) for clip in (None, 1e-6))
    before = [p.detach().clone() for p in clipped.network.parameters()]
    for task in (free, clipped):
        fit(task)
    moved = [
        sum(float((p - q).detach().norm()) for p, q in zip(task.network.parameters(), before, strict=True))
        for task in (free, clipped)
    ]
    assert moved[1] < 1e-4 < 0.1 < moved[0]


class StopAt(pl.Callback):
    """Ends the process's training after so many batches, as a kill does: nothing is said goodbye to."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def on_train_batch_end(self, *_: Any) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_seconds_before_an_interruption_count(made, fit, tmp_path, clock):
    task = made(budget={"seconds": 2.0})
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(task, ResumePoint(tmp_path / "last.ckpt", seconds_between=0), StopAt(40))
    used = task.seconds
    assert 0.5 < used < 1.5
    resumed, watch = made(budget={"seconds": 2.0}), Watch()
    fit(resumed, watch, ckpt_path=tmp_path / "last.ckpt")
    assert 2.0 <= resumed.seconds < 2.1
    assert resumed.seconds - resumed._seconds_before == pytest.approx(2.0 - used, abs=0.1)


# -- predictions


@pytest.fixture
def four(spec: DataSpec) -> Classification:
    """Classification into four classes."""
    return Classification(replace(spec, classes=("a", "b", "c", "d")))


@pytest.fixture
def found(four: Classification) -> tuple[Predictions, np.ndarray]:
    """Predictions for 300 examples of 4 classes, and their probabilities."""
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(0, 2, (300, 4)))
    targets = np.where(rng.random(300) < 0.5, logits.argmax(1).numpy(), rng.integers(0, 4, 300))
    split = Split(ids=np.array([f"é{i}" for i in range(300)]), inputs=np.zeros((300, 1)), targets=targets)
    return four.predictions(logits.log_softmax(1), split), logits.softmax(1).numpy()


def test_predictions_say_what_the_probabilities_say(found):
    predictions, probabilities = found
    target = predictions.more["actual"]
    assert np.array_equal(predictions.more["predicted"], probabilities.argmax(1))
    assert np.array_equal(predictions.prediction, np.array(list("abcd"))[probabilities.argmax(1)])
    assert np.array_equal(predictions.target, np.array(list("abcd"))[target])
    assert np.array_equal(predictions.right, predictions.prediction == predictions.target)
    assert np.array_equal(predictions.score, predictions.right)
    assert set(predictions.weight) == {1}
    assert np.allclose(predictions.more["confidence"], probabilities.max(1))
    assert np.allclose(predictions.more["nll"], -np.log(probabilities[np.arange(300), target]))
    assert predictions.loss == pytest.approx(predictions.more["nll"].mean())


def test_metrics_are_those_of_scikit_learn(found, four):
    predictions, probabilities = found
    metrics = four.metrics(predictions)
    target, prediction = predictions.more["actual"], predictions.more["predicted"]
    confidence = predictions.more["confidence"]
    assert tuple(metrics) == TASKS["classification"].metrics
    assert metrics["accuracy"] == pytest.approx(accuracy_score(target, prediction))
    assert metrics["macro_f1"] == pytest.approx(f1_score(target, prediction, average="macro"))
    assert metrics["nll"] == pytest.approx(log_loss(target, probabilities))
    edges = np.linspace(0, 1, 16)
    bins = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, 14)
    gaps = [
        abs(predictions.score[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in set(bins)
    ]
    assert metrics["calibration_error"] == pytest.approx(sum(gaps), abs=1e-5)
    # What is resampled for intervals is the same on the whole.
    everyone = np.ones((1, 300))
    measured = {name: float(measure(everyone)[0]) for name, measure in four.measures(predictions).items()}
    assert measured == pytest.approx(metrics, abs=1e-5)


def test_a_class_that_was_neither_there_nor_predicted_does_not_count_in_macro_f1(spec):
    log_probabilities = torch.tensor([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1]]).log()
    split = Split(ids=np.array(["x", "y"]), inputs=np.zeros((2, 1)), targets=np.array([0, 1]))
    three = Classification(spec)
    assert three.metrics(three.predictions(log_probabilities, split))["macro_f1"] == 1


def test_the_table_has_a_row_for_each_example_in_the_contracts_types(found):
    table = found[0].table(seed=3)
    types = {"seed": "int64", "id": "string", "target": "string", "prediction": "string", "right": "bool"}
    types |= {"actual": "int64", "predicted": "int64"}
    assert {field.name: str(field.type) for field in table.schema} == {
        **types,
        **dict.fromkeys(("score", "weight", "confidence", "nll"), "double"),
    }
    rows = table.to_pylist()
    assert len(rows) == 300
    assert (rows[7]["id"], rows[7]["seed"], rows[7]["target"]) == ("é7", 3, found[0].target[7])


def test_prediction_runs_over_all_batches_and_keeps_their_order(made, monkeypatch, validation):
    task = made()
    network = task.network.eval()
    nn.init.normal_(network.head.weight)
    whole = task.objective.predict(network, validation, CPU)
    monkeypatch.setattr("quintet.training.inputs._PREDICTION_BATCH", 4)
    parts = task.objective.predict(network, validation, CPU)
    assert len(parts.ids) == 21
    assert np.array_equal(parts.ids, validation.ids)
    assert np.array_equal(parts.prediction, whole.prediction)
    assert np.allclose(parts.more["nll"], whole.more["nll"], atol=1e-5)
    assert len(set(whole.more["nll"])) > 10
