"""Recurrent networks: the kernels against the papers' equations, and how states become features."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from quintet.models.build import build_encoder
from quintet.models.rnn.gru import GRU
from quintet.models.rnn.lstm import LSTM
from quintet.models.rnn.readout import ReadOut
from quintet.models.rnn.rnn import RNN

TIME, FEATURE, HIDDEN = 5, 3, 4


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def rnn_step(x: Tensor, state: list[Tensor], w: Tensor, u: Tensor, b: Tensor, b2: Tensor) -> list[Tensor]:
    return [torch.tanh(w @ x + u @ state[0] + b + b2)]


def lstm_step(x: Tensor, state: list[Tensor], w: Tensor, u: Tensor, b: Tensor, b2: Tensor) -> list[Tensor]:
    h, c = state
    i, f, g, o = (w @ x + u @ h + b + b2).chunk(4)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return [o.sigmoid() * c.tanh(), c]


def gru_step(x: Tensor, state: list[Tensor], w: Tensor, u: Tensor, b: Tensor, b2: Tensor) -> list[Tensor]:
    h = state[0]
    (r_x, z_x, n_x), (r_h, z_h, n_h) = (w @ x + b).chunk(3), (u @ h + b2).chunk(3)
    r, z = (r_x + r_h).sigmoid(), (z_x + z_h).sigmoid()
    n = (n_x + r * n_h).tanh()
    return [(1 - z) * n + z * h]


@pytest.mark.parametrize(("cls", "step", "num_states"), [(RNN, rnn_step, 1), (LSTM, lstm_step, 2), (GRU, gru_step, 1)])
def test_computes_the_papers_equations(
    cls: type[nn.Module], step: Callable[..., list[Tensor]], num_states: int
) -> None:
    model = cls((TIME, FEATURE), hidden_size=HIDDEN)
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    weights = [getattr(model.recurrence, name) for name in names]
    series = torch.randn(TIME, FEATURE)
    state, expected = [torch.zeros(HIDDEN)] * num_states, []
    for x in series:
        state = step(x, state, *weights)
        expected.append(state[0])
    encoded = model(series[None])
    torch.testing.assert_close(encoded.positions[0], torch.stack(expected))
    torch.testing.assert_close(encoded.pooled[0], expected[-1])


def test_lstm_remembers_from_the_first_step() -> None:
    model = LSTM((TIME, FEATURE), hidden_size=HIDDEN)
    bias = model.recurrence.bias_ih_l0 + model.recurrence.bias_hh_l0
    assert bias.tolist() == [0.0] * HIDDEN + [1.0] * HIDDEN + [0.0] * 2 * HIDDEN


@pytest.mark.parametrize(("cls", "gates"), [(RNN, 1), (LSTM, 4), (GRU, 3)])
def test_recurrent_weights_start_orthogonal_gate_by_gate(cls: type[nn.Module], gates: int) -> None:
    model = cls((TIME, FEATURE), hidden_size=HIDDEN, num_layers=2, bidirectional=True)
    recurrent = [p for name, p in model.recurrence.named_parameters() if name.startswith("weight_hh")]
    assert len(recurrent) == 4
    for weight in recurrent:
        for gate in weight.chunk(gates):
            torch.testing.assert_close(gate @ gate.T, torch.eye(HIDDEN))


def test_relu_network_starts_as_the_identity() -> None:
    model = RNN((TIME, FEATURE), hidden_size=HIDDEN, activation="relu")
    assert torch.equal(model.recurrence.weight_hh_l0, torch.eye(HIDDEN))


@pytest.mark.parametrize("cls", [RNN, LSTM, GRU])
def test_last_state_of_both_directions_has_seen_the_whole_series(cls: type[nn.Module]) -> None:
    model = cls((TIME, FEATURE), hidden_size=HIDDEN, bidirectional=True)
    series = torch.randn(1, TIME, FEATURE, requires_grad=True)
    pooled = model(series).pooled
    for half in (pooled[0, :HIDDEN], pooled[0, HIDDEN:]):
        (gradient,) = torch.autograd.grad(half.sum(), series, retain_graph=True)
        assert gradient[0].abs().sum(1).min() > 0


def test_mean_is_over_time() -> None:
    states = torch.randn(2, TIME, HIDDEN)
    torch.testing.assert_close(ReadOut("mean", bidirectional=False, dropout=0.0)(states).pooled, states.mean(1))


@pytest.mark.parametrize("cls", [RNN, LSTM, GRU])
def test_dropout_acts_on_a_single_layer_too(cls: type[nn.Module]) -> None:
    model = cls((TIME, FEATURE), hidden_size=64, dropout=0.5)
    pooled = model(torch.randn(1, TIME, FEATURE)).pooled
    assert 10 < (pooled == 0).sum() < 54
    assert (model.eval()(torch.randn(1, TIME, FEATURE)).pooled != 0).all()


def test_an_image_is_read_from_its_top_row_down() -> None:
    by_rows = build_encoder("rnn", "gru", "image", (3, 6, 5), {"hidden_size": HIDDEN})
    images = torch.randn(2, 3, 6, 5)
    rows = torch.stack([images[:, :, row].flatten(1) for row in range(6)], dim=1)
    assert by_rows.encoder.recurrence.input_size == 3 * 5
    torch.testing.assert_close(by_rows(images).positions, by_rows.encoder(rows).positions)
