"""Peak memory of a training step, counted from its tensors, against sums by hand."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest
import torch
from torch import nn

from quintet.data.spec import DataSpec
from quintet.training.memory import training_step_megabytes
from quintet.training.settings import Budget, Optimiser, Training

MB = 2**20
SPEC = DataSpec(
    name="made-up",
    kind="image",
    target="class",
    shape=(1, 32, 32),
    classes=("a", "b"),
    counts={"train": 1000, "validation": 10, "test": 10},
    class_counts={},
    mean=(0.5,),
    std=(0.25,),
    set_aside=0,
    source={},
    digest="",
)


def training(name: str = "sgd", momentum: float = 0.0, batch_size: int = 2) -> Training:
    optimiser = Optimiser(name=name, lr=0.1, momentum=momentum)
    return Training(budget=Budget(epochs=1), batch_size=batch_size, optimiser=optimiser)


def wide() -> nn.Module:
    """A megabyte of weights for every 256 outputs, next to which images of 4 kB are nothing."""
    return nn.Sequential(nn.Flatten(), nn.Linear(1024, 2048, bias=False), nn.Linear(2048, 2, bias=False))


WEIGHTS = 4 * (1024 * 2048 + 2048 * 2) / MB


@pytest.mark.parametrize(
    ("settings", "times"),
    [(training(), 2), (training(momentum=0.9), 3 + 1), (training("adamw"), 4 + 2)],
    ids=["weights and gradients", "momentum, and Nesterov's look ahead", "two moments, and two products on the way"],
)
def test_weights_gradients_and_the_optimisers_state_count(settings, times):
    assert training_step_megabytes(wide(), SPEC, settings) == pytest.approx(times * WEIGHTS, rel=0.01)


def test_activations_come_on_top_of_the_optimisers_state():
    tanhs = [nn.Tanh() for _ in range(20)]
    network = nn.Sequential(nn.Flatten(), nn.Linear(1024, 1024, bias=False), *tanhs, nn.Linear(1024, 2, bias=False))
    weights, activations = 1024 * 4096 / MB, 21 * 500 * 4096 / MB
    found = training_step_megabytes(network, SPEC, training("adamw", batch_size=500))
    # On the way back: a gradient of an activation's size or two, and the weights' own.
    assert 3 * weights + activations < found < 4 * weights + activations * 24 / 21


def test_activations_count_for_every_example_of_a_batch():
    deep = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.Tanh(), nn.Tanh(), nn.Flatten(), nn.Linear(16 * 1024, 2))
    small, large = (training_step_megabytes(deep, SPEC, training(batch_size=size)) for size in (16, 64))
    kept = 48 * 16 * 1024 * 4 / MB  # of one layer; the convolution's output and both tanhs' are kept for going back
    assert 2 * kept <= large - small <= 6 * kept


def test_the_batch_is_that_of_the_training_at_most_half_the_split():
    few = replace(SPEC, counts={**SPEC.counts, "train": 40})
    assert training_step_megabytes(wide(), few, training(batch_size=512)) == pytest.approx(
        training_step_megabytes(wide(), SPEC, training(batch_size=20)), rel=0.01
    )


def test_the_same_step_takes_the_same_again():
    found = set()
    for _ in range(3):
        torch.manual_seed(0)
        gc.collect()
        found.add(training_step_megabytes(wide(), SPEC, training("adamw")))
    assert len(found) == 1


@pytest.mark.parametrize("mode", [True, False])
def test_the_network_is_left_as_it_was(mode):
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2 * 900, 2)).train(mode)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    training_step_megabytes(network, SPEC, training("adamw"))
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert network.training is mode
    assert all(p.grad is None for p in network.parameters())
