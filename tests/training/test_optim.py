"""The learning rate over a budget, and what is decayed."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from quintet.training.optim import optimiser, rate
from quintet.training.settings import Optimiser, Schedule


def test_cosine_rises_over_the_warm_up_and_falls_to_zero():
    schedule = Schedule(name="cosine", warmup=0.2)
    assert [rate(schedule, p) for p in (0.0, 0.05, 0.1)] == pytest.approx([0, 0.25, 0.5])
    assert rate(schedule, 0.2) == 1
    assert rate(schedule, 0.4) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert rate(schedule, 0.6) == pytest.approx(0.5)
    assert rate(schedule, 1.0) == pytest.approx(0, abs=1e-12)


def test_a_budget_overdrawn_by_a_step_keeps_the_rate_at_its_end():
    assert rate(Schedule(warmup=0.5), 1.001) == pytest.approx(0, abs=1e-12)


def test_constant_warms_up_and_stays():
    schedule = Schedule(name="constant", warmup=0.5)
    assert [rate(schedule, p) for p in (0.0, 0.25, 0.5, 0.75, 1.0)] == [0, 0.5, 1, 1, 1]


@pytest.mark.parametrize("name", ["cosine", "constant"])
def test_without_warm_up_the_first_step_has_the_whole_rate(name):
    assert rate(Schedule(name=name), 0.0) == 1


def test_the_rate_never_leaves_zero_to_one_and_never_jumps():
    for schedule in (Schedule(warmup=w, name=n) for w in (0.0, 0.1, 0.9) for n in ("cosine", "constant")):
        rates = [rate(schedule, i / 1000) for i in range(1001)]
        assert 0 <= min(rates) <= max(rates) <= 1
        assert max(abs(a - b) for a, b in pairwise(rates)) < 0.02


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 3), nn.LayerNorm(3))


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_kernels_and_matrices_are_decayed_and_vectors_are_not(name):
    model = network()
    groups = optimiser(model, Optimiser(name=name, lr=0.1, weight_decay=0.3)).param_groups
    decayed = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    names = {key: decayed[id(p)] for key, p in model.named_parameters()}
    assert names == {
        **{"0.weight": 0.3, "0.bias": 0, "1.weight": 0, "1.bias": 0},
        **{"3.weight": 0.3, "3.bias": 0, "4.weight": 0, "4.bias": 0},
    }


def test_decay_moves_what_is_decayed_alone():
    model = network()
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    made = optimiser(model, Optimiser(name="sgd", lr=0.1, weight_decay=0.5, momentum=0.0))
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    made.step()
    for key, p in model.named_parameters():
        assert torch.allclose(p, before[key] * (0.95 if p.ndim > 1 else 1))


def test_settings_reach_the_optimiser():
    adamw = optimiser(network(), Optimiser(lr=0.01, betas=(0.8, 0.95)))
    assert isinstance(adamw, torch.optim.AdamW)
    assert {(g["lr"], g["betas"]) for g in adamw.param_groups} == {(0.01, (0.8, 0.95))}
    sgd = optimiser(network(), Optimiser(name="sgd", lr=0.01, momentum=0.7))
    assert isinstance(sgd, torch.optim.SGD)
    assert {(g["lr"], g["momentum"], g["nesterov"]) for g in sgd.param_groups} == {(0.01, 0.7, True)}
    assert {g["nesterov"] for g in optimiser(network(), Optimiser(name="sgd", lr=1, momentum=0)).param_groups} == {
        False
    }


def test_a_network_of_matrices_alone_has_one_group():
    assert len(optimiser(nn.Linear(2, 2, bias=False), Optimiser(lr=1)).param_groups) == 1
