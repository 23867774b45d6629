"""How figures and findings are put."""

from __future__ import annotations

from pathlib import Path

import pytest

from quintet.report import words
from quintet.report.collect import collect
from quintet.report.compare import Board, leaderboards
from quintet.report.words import Figures


def board(outputs: Path, *experiments: str, baselines: bool = True) -> Board:
    collected = collect(outputs, "s", experiments, ["digits"] if baselines else [])
    return leaderboards(collected, resamples=50, level=0.95)[0]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "0"), (10, "10"), (8.25, "8.25"), (650, "650"), (999, "999"), (999.7, "1.00 k"),
     (61_706, "61.7 k"), (11_173_962, "11.2 M"), (999_600_000, "1.00 G"), (4.1e9, "4.10 G"), (2e12, "2.00 T")],
)  # fmt: skip
def test_counts_keep_three_digits(value: float | None, text: str) -> None:
    assert words.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.001, "0.001 s"), (6.4, "6.40 s"), (119, "119 s"), (150, "2.50 min"), (5400, "1.50 h")],
)
def test_seconds_become_minutes_and_hours(value: float | None, text: str) -> None:
    assert words.seconds(value) == text


@pytest.mark.parametrize(("p", "text"), [(None, "–"), (0.0004, "< 0.001"), (0.0312, "0.031"), (0.4172, "0.42")])
def test_p_values_are_not_more_exact_than_they_are(p: float | None, text: str) -> None:
    assert words.p_value(p) == text


def test_shares_are_percentages_and_their_differences_points() -> None:
    few, many = Figures.bearing(900), Figures.bearing(30_000)
    assert (few.value("accuracy", 0.98449), many.value("accuracy", 0.98449)) == ("98.4 %", "98.45 %")
    assert few.interval("accuracy", 0.97, 1.0) == "[97.0, 100.0]"
    assert few.value("nll", 0.08449) == "0.084"
    assert few.signed("accuracy", -0.0041) == "−0.4"
    assert few.signed("accuracy", 0.0041) == "+0.4"
    assert few.signed("accuracy", -0.0001) == "±0.0"
    assert few.signed("nll", 0.25) == "+0.250"


def test_the_answer_names_the_best_what_is_tied_and_the_cheapest_of_them(whole: Path) -> None:
    b = board(whole, "digits-resnet20", "digits-lenet5", "digits-rnn", baselines=False)
    figure = Figures.of(b).value("accuracy", b.best.estimate.value)
    assert words.headline(b).startswith(f"On **digits** the best is **ResNet-20** (CNN): **{figure}** accuracy [")
    told = words.findings(b)
    assert "**Tied** with it, as far as 300 test examples can tell: **LeNet-5**." in told
    assert "**Cheapest to train** of these: **LeNet-5**, 6.40 s a seed against 41.0 s." in told


def test_the_answer_says_when_nothing_is_tied(whole: Path) -> None:
    told = words.findings(board(whole, "digits-resnet20", "digits-rnn", baselines=False))
    assert any(text.startswith("**Nothing is tied with it**") for text in told)
    assert not any("Cheapest" in text for text in told)


def test_models_behind_the_baseline_and_those_not_clearly_ahead_are_named(whole: Path) -> None:
    told = " ".join(words.findings(board(whole, "digits-resnet20", "digits-vit", "digits-rnn")))
    assert "**Does not beat** logistic regression (94.0 %), the strongest baseline: **Vanilla RNN** (" in told
    assert "**Not clearly better** than it: **ViT** (" in told
    all_beat = " ".join(words.findings(board(whole, "digits-resnet20", "digits-lenet5")))
    assert "**Every neural model beats** logistic regression (94.0 %), the strongest baseline." in all_beat


def test_a_baseline_that_is_best_is_said_to_be(whole: Path) -> None:
    told = words.headline(board(whole, "digits-rnn"))
    assert told.startswith("On **digits** no neural model is ahead of the baseline **Logistic regression**: **94.0 %**")


def test_a_figure_that_was_expected_and_missed_is_named(whole: Path) -> None:
    b = board(whole, "digits-vit", "digits-lenet5")
    figure = Figures.of(b).value("accuracy", b.row("digits-vit").estimate.value)
    assert f"**Below the figure expected**: **ViT** ({figure} where 97.0 % was expected)." in words.findings(b)


def test_two_of_one_title_are_told_apart_by_their_experiments(whole: Path) -> None:
    b = board(whole, "digits-vit", "digits-vit-small", "digits-gru")
    labels = {row.evaluated.experiment: words.label(b, row) for row in b.neural}
    assert labels == {
        "digits-vit": "ViT (digits-vit)",
        "digits-vit-small": "ViT (digits-vit-small)",
        "digits-gru": "GRU",
    }


def test_the_budget_says_what_was_used_of_what_was_allowed(whole: Path) -> None:
    b = board(whole, "digits-gru")
    row = b.row("digits-gru")
    assert words.budget(row) == {
        "kind": "epochs", "allowed": 30, "used_per_seed": [24, 30, 30],
        "stopped_by": ["early_stopping", "budget", "budget"],
    }  # fmt: skip
    assert words.budget_text(row) == "24–30 of 30 epochs"
    assert words.stopped_text(row) == "2 budget, 1 early stopping"
    assert b.strongest_baseline is not None
    assert words.budget(b.strongest_baseline) is None
