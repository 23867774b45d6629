"""How far a training is: one line that renews itself on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch

from quintet.training import progress as module
from quintet.training.progress import Progress


class Training:
    """A made-up training whose clock the test turns."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, terminal: bool, first: bool = True) -> None:
        self.now = 1000.0
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
        self.trainer = SimpleNamespace(is_global_zero=first, current_epoch=0, callback_metrics={})
        self.shows = Progress("lenet, seed 0", "accuracy")

    def batch(self, after: float, progress: float) -> None:
        self.now += after
        module_ = SimpleNamespace(progress=progress)
        self.shows.on_train_batch_end(self.trainer, module_, None, None, 0)  # type: ignore[arg-type]


def test_elsewhere_a_plain_line_comes_every_quarter_of_a_minute(monkeypatch, capsys):
    training = Training(monkeypatch, terminal=False)
    for _ in range(60):
        training.batch(after=1, progress=0.25)
    training.shows.on_fit_end(training.trainer, None)
    shown = capsys.readouterr().err
    assert shown.count("\n") == len(shown.splitlines()) == 4
    assert shown.splitlines()[0] == "lenet, seed 0:  25%, epoch 1"
    assert "\r" not in shown
    assert "\033" not in shown


def test_on_a_terminal_one_line_renews_itself_and_is_cleared_at_the_end(monkeypatch, capsys):
    training = Training(monkeypatch, terminal=True)
    for _ in range(10):
        training.batch(after=0.1, progress=0.5)
    training.shows.on_fit_end(training.trainer, None)
    shown = capsys.readouterr().err
    assert "\n" not in shown
    assert 4 <= shown.count("\r\033[Klenet") <= 5
    assert shown.endswith("\r\033[K")


def test_the_time_left_is_that_of_the_pace_so_far(monkeypatch, capsys):
    training = Training(monkeypatch, terminal=False)
    training.batch(after=20, progress=0.1)
    training.trainer.callback_metrics["validation_score"] = torch.tensor(0.5)
    training.trainer.current_epoch = 3
    training.batch(after=100, progress=0.3)
    assert (
        capsys.readouterr().err.splitlines()[-1] == "lenet, seed 0:  30%, epoch 4, validation accuracy 0.5, 5:50 left"
    )


def test_after_a_resume_the_pace_is_that_since_then(monkeypatch, capsys):
    training = Training(monkeypatch, terminal=False)
    training.batch(after=20, progress=0.8)
    training.batch(after=3600, progress=0.9)
    assert capsys.readouterr().err.splitlines()[-1].endswith(", 1:00:00 left")


def test_of_several_processes_only_the_first_speaks(monkeypatch, capsys):
    training = Training(monkeypatch, terminal=False, first=False)
    training.batch(after=100, progress=0.5)
    assert capsys.readouterr().err == ""
