"""Integrated gradients keep what the paper proves of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from quintet.evaluation.attribution import MOST, STEPS, TOLERANCE, integrated_gradients


@pytest.fixture
def line() -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors [5 3] and their baseline."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(5, 3, generator=generator), torch.randn(5, 3, generator=generator)


def test_of_a_linear_function_each_score_is_the_products_difference(line: tuple[torch.Tensor, torch.Tensor]) -> None:
    vectors, baseline = line
    weights = torch.arange(15.0).reshape(5, 3) - 7
    found = integrated_gradients(lambda given: (given * weights).sum((1, 2)), vectors, baseline)
    torch.testing.assert_close(found.scores, ((vectors - baseline) * weights).sum(1))
    assert found.steps == STEPS


@pytest.mark.parametrize("activation", [nn.Tanh, nn.GELU, nn.ReLU])
def test_scores_add_up_to_what_the_value_gained(
    activation: type[nn.Module], line: tuple[torch.Tensor, torch.Tensor]
) -> None:
    torch.manual_seed(1)
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(15, 64), activation(), nn.Linear(64, 32), activation(), nn.Linear(32, 1)
    )
    vectors, baseline = line
    with torch.no_grad():
        gain = float(network(vectors[None]) - network(baseline[None]))
    found = integrated_gradients(lambda given: network(given)[:, 0], vectors, baseline)
    assert found.gain == pytest.approx(gain, abs=1e-5)
    assert float(found.scores.sum()) == pytest.approx(gain, abs=TOLERANCE * max(abs(gain), 0.1))


def test_a_kink_takes_more_steps() -> None:
    vectors, baseline = torch.ones(1, 1), torch.zeros(1, 1)
    # Only the last hundredth of the way counts, which a few points may miss altogether.
    found = integrated_gradients(lambda given: 100 * (given[:, 0, 0] - 0.99).relu(), vectors, baseline)
    assert STEPS < found.steps <= MOST
    assert found.complete
    assert found.gain == pytest.approx(1, abs=1e-4)


def test_what_is_not_used_gets_nothing(line: tuple[torch.Tensor, torch.Tensor]) -> None:
    vectors, baseline = line
    found = integrated_gradients(lambda given: given[:, 2].pow(3).sum(1), vectors, baseline)
    assert torch.equal(found.scores != 0, torch.arange(5) == 2)
    assert found.gap < 1e-4
