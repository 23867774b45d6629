"""Leaderboards, with every figure worked out again from the files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import permutation_test

from quintet.errors import UserError
from quintet.report.collect import collect
from quintet.report.compare import Board, leaderboards


def scores(outputs: Path, row: dict[str, Any]) -> pd.Series:
    """Each example's score averaged over seeds, read with another library."""
    if row["baseline"]:
        folder = outputs / "baselines" / row["data"] / row["experiment"]
    else:
        folder = outputs / "runs" / row["experiment"] / "evaluate"
    return pd.read_parquet(folder / "examples.parquet").groupby("id")["score"].mean()


def board_of(outputs: Path, experiments: list[str], baselines: list[str] | None = None) -> Board:
    collected = collect(outputs, "embedded", experiments, baselines or [])
    return leaderboards(collected, resamples=100, level=0.95)[0]


@pytest.fixture
def pair(whole: Path, tmp_path: Path) -> Path:
    """A copy of two experiments and the baselines, to be changed."""
    for name in ("digits-lenet5", "digits-gru"):
        shutil.copytree(whole / "runs" / name, tmp_path / "runs" / name)
    shutil.copytree(whole / "baselines", tmp_path / "baselines")
    return tmp_path


def change(file: Path, **fields: Any) -> None:
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | fields))


def test_rows_are_the_mean_scores_from_best_to_worst(whole: Path, report: dict[str, Any]) -> None:
    rows = report["leaderboard"]
    assert len(rows) == 9
    assert [row["rank"] for row in rows] == list(range(1, 10))
    values = [row["value"] for row in rows]
    assert values == sorted(values, reverse=True)
    for row in rows:
        assert row["value"] == pytest.approx(scores(whole, row).mean())
        assert row["value"] == pytest.approx(np.mean(row["per_seed"]))
        assert row["low"] <= row["value"] <= row["high"]


def test_differences_and_p_values_are_those_of_the_paired_scores(whole: Path, report: dict[str, Any]) -> None:
    best, *others = report["leaderboard"]
    assert best["effect"] is best["p_value"] is best["p_holm"] is None
    for row in others:
        difference = scores(whole, row) - scores(whole, best)
        assert row["effect"]["difference"] == pytest.approx(difference.mean())
        assert row["effect"]["low"] <= difference.mean() <= row["effect"]["high"]
        assert row["effect"]["d"] == pytest.approx(difference.mean() / difference.std(ddof=1))
        drawn = permutation_test(
            (difference.to_numpy(),),
            lambda d, axis: d.mean(axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=4000,
            rng=np.random.default_rng(1),
        )
        # The tolerance is four standard errors of a drawn share, at its widest.
        assert row["p_value"] == pytest.approx(drawn.pvalue, abs=4 * 0.5 / 4000**0.5)


def test_p_is_adjusted_over_all_rows_of_the_board_and_ties_follow_from_it(report: dict[str, Any]) -> None:
    best, *others = report["leaderboard"]
    ordered = sorted(others, key=lambda row: row["p_value"])
    largest = 0.0
    for i, row in enumerate(ordered):
        largest = max(largest, min(1.0, row["p_value"] * (len(ordered) - i)))
        assert row["p_holm"] == pytest.approx(largest)
        assert row["tied_with_best"] == (largest >= 0.05)
    assert best["tied_with_best"]
    # The made-up models were chosen so that both happen.
    assert {row["tied_with_best"] for row in others} == {True, False}


def test_a_model_beats_the_baselines_only_where_the_paired_test_says_so(report: dict[str, Any]) -> None:
    rows = {row["experiment"]: row for row in report["leaderboard"]}
    baseline = rows["logistic-regression"]["value"]
    neural = [row for row in rows.values() if not row["baseline"]]
    for row in neural:
        against = row["against_baseline"]
        assert against["difference"] == pytest.approx(row["value"] - baseline)
        assert row["beats_baselines"] == (against["difference"] > 0 and against["p_holm"] < 0.05)
    ordered = sorted(neural, key=lambda row: row["against_baseline"]["p_value"])
    largest = 0.0
    for i, row in enumerate(ordered):
        largest = max(largest, min(1.0, row["against_baseline"]["p_value"] * (len(ordered) - i)))
        assert row["against_baseline"]["p_holm"] == pytest.approx(largest)
    # Ahead but not clearly, and behind.
    assert rows["digits-vit"]["value"] > baseline
    assert rows["digits-vit"]["beats_baselines"] is False
    assert rows["digits-rnn"]["beats_baselines"] is False
    assert rows["digits-resnet20"]["beats_baselines"] is True
    assert rows["most-frequent"]["beats_baselines"] is None


def test_the_figure_expected_is_reached_or_not(report: dict[str, Any]) -> None:
    rows = {row["experiment"]: row for row in report["leaderboard"]}
    assert (rows["digits-resnet20"]["expected"], rows["digits-resnet20"]["expected_reached"]) == (0.98, True)
    assert (rows["digits-vit"]["expected"], rows["digits-vit"]["expected_reached"]) == (0.97, False)
    assert (rows["digits-rnn"]["expected"], rows["digits-rnn"]["expected_reached"]) == (None, None)


def test_the_front_holds_what_nothing_beats_at_its_cost(report: dict[str, Any]) -> None:
    rows = report["leaderboard"]
    for cost in ("parameters", "flops", "train_seconds"):
        priced = [row for row in rows if row["cost"][cost] is not None]
        for row in rows:
            rivals = [r for r in priced if r is not row]
            beaten = row not in priced or any(
                r["value"] >= row["value"]
                and r["cost"][cost] <= row["cost"][cost]
                and (r["value"], -r["cost"][cost]) != (row["value"], -row["cost"][cost])
                for r in rivals
            )
            assert (cost in row["pareto"]) == (not beaten), (cost, row["experiment"])


def test_at_an_equal_price_only_the_better_one_is_on_the_front(pair: Path) -> None:
    for name in ("digits-lenet5", "digits-gru"):
        file = pair / "runs" / name / "evaluate" / "evaluation.json"
        change(file, cost=json.loads(file.read_text())["cost"] | {"parameters": 50_000})
    fronts = {row.evaluated.experiment: row.pareto for row in board_of(pair, ["digits-lenet5", "digits-gru"]).rows}
    assert "parameters" in fronts["digits-lenet5"]
    assert "parameters" not in fronts["digits-gru"]


def test_the_champion_is_the_best_on_validation_whatever_the_test_says(pair: Path) -> None:
    names = ["digits-lenet5", "digits-gru"]
    assert board_of(pair, names).champion == "digits-lenet5"
    for seed in range(3):
        file = pair / "runs" / "digits-gru" / "train" / f"seed-{seed}" / "validation.parquet"
        table = pd.read_parquet(file)
        table["score"] = 1.0
        table.to_parquet(file)
    board = board_of(pair, names)
    assert board.champion == "digits-gru"
    assert board.best.evaluated.experiment == "digits-lenet5"


def test_where_less_is_better_the_least_is_best(pair: Path) -> None:
    for name in ("digits-lenet5", "digits-gru"):
        change(pair / "runs" / name / "evaluate" / "evaluation.json", direction="min", expect={"accuracy": 0.98})
    for name in ("logistic-regression", "most-frequent"):
        change(pair / "baselines" / "digits" / name / "evaluation.json", direction="min")
    board = board_of(pair, ["digits-lenet5", "digits-gru"], ["digits"])
    assert board.best.evaluated.experiment == "most-frequent"
    assert board.champion == "digits-gru"
    reached = {row.evaluated.experiment: row.expected_reached for row in board.neural}
    assert reached == {"digits-lenet5": False, "digits-gru": True}
    assert not any(row.beats_baselines for row in board.neural)


def test_boards_are_kept_apart_by_data_set(pair: Path) -> None:
    change(pair / "runs" / "digits-gru" / "evaluate" / "evaluation.json", data="other")
    boards = leaderboards(collect(pair, "s", ["digits-lenet5", "digits-gru"], ["digits"]), resamples=10, level=0.95)
    assert [(b.data, len(b.rows)) for b in boards] == [("digits", 3), ("other", 1)]
    assert boards[1].strongest_baseline is None
    assert boards[1].rows[0].beats_baselines is None


def test_the_board_where_most_networks_meet_comes_first(whole: Path, tmp_path: Path) -> None:
    for name in ("digits-lenet5", "digits-gru", "digits-vit"):
        shutil.copytree(whole / "runs" / name, tmp_path / "runs" / name)
    change(tmp_path / "runs/digits-vit/evaluate/evaluation.json", data="animals")
    boards = leaderboards(
        collect(tmp_path, "s", ["digits-lenet5", "digits-gru", "digits-vit"], []), resamples=10, level=0.95
    )
    assert [board.data for board in boards] == ["digits", "animals"]


def test_results_on_another_version_of_the_data_are_refused(pair: Path) -> None:
    file = pair / "runs" / "digits-gru" / "evaluate" / "evaluation.json"
    runs = json.loads(file.read_text())["runs"]
    change(file, runs=[run | {"data_digest": "sha256:other"} for run in runs])
    with pytest.raises(UserError, match="another version of 'digits'") as caught:
        board_of(pair, ["digits-lenet5", "digits-gru"])
    assert str(file) in str(caught.value)


def test_results_on_other_test_examples_are_refused(pair: Path) -> None:
    file = pair / "baselines" / "digits" / "logistic-regression" / "examples.parquet"
    pd.read_parquet(file).iloc[1:].to_parquet(file)
    with pytest.raises(UserError, match="another version of 'digits'"):
        board_of(pair, ["digits-lenet5"], ["digits"])
