"""The best weights are kept, and a file is never left half written."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from quintet.training import weights
from quintet.training.checkpoints import BestWeights
from quintet.training.weights import load_weights, save_weights


def network(value: float = 0.0) -> nn.Module:
    made = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    nn.init.constant_(made[0].weight, value)
    return made


def kept(file: Path, epochs: list[tuple[float, float]], higher: bool = True, **trainer: Any) -> BestWeights:
    """What is kept of epochs with these metrics and losses; the network's weights are the epoch's number, from 1."""
    best = BestWeights(file, higher)
    for epoch, (metric, loss) in enumerate(epochs):
        metrics = {"validation_score": torch.tensor(metric), "validation_loss": torch.tensor(loss)}
        state = {"global_step": 10 * (epoch + 1), "current_epoch": epoch, "is_global_zero": True, **trainer}
        best.on_train_epoch_end(
            SimpleNamespace(callback_metrics=metrics, **state),  # type: ignore[arg-type]
            SimpleNamespace(network=network(epoch + 1.0)),  # type: ignore[arg-type]
        )
    return best


@pytest.mark.parametrize(
    ("epochs", "higher", "expected"),
    [
        ([(0.5, 1.0), (0.9, 1.0), (0.7, 1.0)], True, 2),
        ([(0.5, 1.0), (0.9, 1.0), (0.7, 1.0)], False, 1),
        ([(0.9, 1.0), (0.9, 0.5), (0.9, 0.7)], True, 2),
        ([(0.2, 1.0), (0.2, 0.5), (0.2, 0.7)], False, 2),
        ([(0.9, 1.0), (0.5, 0.1)], True, 1),
        ([(0.9, 0.5), (0.9, 0.5)], True, 1),
    ],
    ids=[
        "highest",
        "lowest",
        "a tie goes to the lower loss",
        "for errors too",
        "loss alone is nothing",
        "else the first",
    ],
)
def test_the_best_epoch_is_kept(tmp_path, epochs, higher, expected):
    best = kept(tmp_path / "best.safetensors", epochs, higher)
    assert best.best["epoch"] == expected
    assert best.best["step"] == 10 * expected
    assert (best.best["value"], best.best["loss"]) == pytest.approx(epochs[expected - 1])
    found = network()
    load_weights(found, tmp_path / "best.safetensors")
    assert found[0].weight.eq(expected).all()


def test_what_was_best_before_an_interruption_stays_best(tmp_path):
    before = kept(tmp_path / "a.safetensors", [(0.9, 0.5)])
    after = BestWeights(tmp_path / "a.safetensors", True)
    after.load_state_dict(before.state_dict())
    assert after.best == before.best != {}


def test_only_the_first_process_writes(tmp_path):
    best = kept(tmp_path / "best.safetensors", [(0.5, 1.0)], is_global_zero=False)
    assert best.best["value"] == 0.5
    assert not list(tmp_path.iterdir())


def test_weights_come_back_as_they_were_and_buffers_with_them(tmp_path):
    one, two = network(3.0), network()
    one(torch.rand(8, 2))
    save_weights(one.state_dict(), tmp_path / "w.safetensors")
    load_weights(two, tmp_path / "w.safetensors")
    assert all(torch.equal(value, two.state_dict()[key]) for key, value in one.state_dict().items())
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_a_kill_while_writing_leaves_the_weights_before(tmp_path, monkeypatch):
    file = tmp_path / "w.safetensors"
    save_weights(network(1.0).state_dict(), file)

    def half(tensors: Any, partial: Path) -> None:
        partial.write_bytes(b"half of")
        raise KeyboardInterrupt

    monkeypatch.setattr(weights, "save_file", half)
    with pytest.raises(KeyboardInterrupt):
        save_weights(network(2.0).state_dict(), file)
    found = network()
    load_weights(found, file)
    assert found[0].weight.eq(1).all()
