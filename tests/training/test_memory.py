"""Peak memory of a training step, counted from its tensors, against sums by hand."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from quintet.training.memory import training_step_megabytes
from quintet.training.settings import Optimiser

MB = 2**20


def settings(name: str = "sgd", momentum: float = 0.0) -> Optimiser:
    return Optimiser(name=name, lr=0.1, momentum=momentum)


def step(network: nn.Module, batch: int = 2) -> Callable[[], torch.Tensor]:
    """The loss of a batch of 32 x 32 pixels."""
    return lambda: F.cross_entropy(network(torch.rand(batch, 1, 32, 32)), torch.zeros(batch, dtype=torch.long))


def wide() -> nn.Module:
    """A megabyte of weights for every 256 outputs, next to which images of 4 kB are nothing."""
    return nn.Sequential(nn.Flatten(), nn.Linear(1024, 2048, bias=False), nn.Linear(2048, 2, bias=False))


WEIGHTS = 4 * (1024 * 2048 + 2048 * 2) / MB


@pytest.mark.parametrize(
    ("chosen", "times"),
    [(settings(), 2), (settings(momentum=0.9), 3 + 1), (settings("adamw"), 4)],
    ids=["weights and gradients", "momentum, and Nesterov's look ahead", "two moments"],
)
def test_weights_gradients_and_the_optimisers_state_count(chosen, times):
    network = wide()
    assert training_step_megabytes(network, step(network), chosen) == pytest.approx(times * WEIGHTS, rel=0.01)


def test_activations_come_on_top_of_the_optimisers_state():
    tanhs = [nn.Tanh() for _ in range(20)]
    network = nn.Sequential(nn.Flatten(), nn.Linear(1024, 1024, bias=False), *tanhs, nn.Linear(1024, 2, bias=False))
    weights, activations = 1024 * 4096 / MB, 21 * 500 * 4096 / MB
    found = training_step_megabytes(network, step(network, 500), settings("adamw"))
    # On the way back: a gradient of an activation's size or two, and the weights' own.
    assert 3 * weights + activations < found < 4 * weights + activations * 24 / 21


def test_activations_count_for_every_example_of_a_batch():
    deep = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.Tanh(), nn.Tanh(), nn.Flatten(), nn.Linear(16 * 1024, 2))
    small, large = (training_step_megabytes(deep, step(deep, size), settings()) for size in (16, 64))
    kept = 48 * 16 * 1024 * 4 / MB  # of one layer; the convolution's output and both tanhs' are kept for going back
    assert 2 * kept <= large - small <= 6 * kept


def test_the_same_step_takes_the_same_again():
    found = set()
    for _ in range(3):
        torch.manual_seed(0)
        gc.collect()
        network = wide()
        found.add(training_step_megabytes(network, step(network), settings("adamw")))
    assert len(found) == 1


@pytest.mark.parametrize("mode", [True, False])
def test_the_network_is_left_as_it_was(mode):
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2 * 900, 2)).train(mode)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    training_step_megabytes(network, step(network), settings("adamw"))
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert network.training is mode
    assert all(p.grad is None for p in network.parameters())
