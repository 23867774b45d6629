"""Label efficiency: who is drawn, over which shares, and what pre-training buys at each."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from quintet.report.collect import collect
from quintet.report.compare import leaderboards

BERT = ["reviews-bert-001", "reviews-bert-01", "reviews-bert-1"]


def reviews(report: dict[str, Any]) -> dict[str, Any]:
    return next(entry for entry in report["label_efficiency"] if entry["data"] == "reviews")


def test_what_learnt_from_a_share_of_the_labels_is_not_on_the_leaderboard(texts_report: dict[str, Any]) -> None:
    rows = [row for row in texts_report["leaderboard"] if row["data"] == "reviews"]
    assert {row["experiment"] for row in rows} == {
        "reviews-bert-1", "reviews-bert-1-fresh", "reviews-textcnn", "reviews-lstm", "reviews-frequent",
    }  # fmt: skip
    # The best figure of all, and of validation, is that of a network with a tenth of the labels.
    answer = next(a for a in texts_report["answers"] if a["data"] == "reviews")
    assert "reviews-gru-tenth" not in (answer["best"], answer["champion"])
    assert "classification/reviews/reviews-gru-tenth" in texts_report["provenance"]


def test_a_line_joins_one_network_over_the_shares_it_learnt_from(texts_report: dict[str, Any]) -> None:
    lines = {
        curve["title"]: [(point["experiment"], point["labelled"]) for point in curve["points"]]
        for curve in reviews(texts_report)["curves"]
    }
    counts = (20, 200, 2000)
    assert lines == {
        "BERT, from scratch": [(f"{name}-fresh", n) for name, n in zip(BERT, counts, strict=True)],
        "BERT, pre-trained": list(zip(BERT, counts, strict=True)),
        "TextCNN": [("reviews-textcnn-tenth", 200), ("reviews-textcnn", 2000)],
    }
    # LSTM learnt from all labels alone, GRU from a tenth alone: neither makes a line, and no other board has one.
    assert [entry["data"] for entry in texts_report["label_efficiency"]] == ["reviews"]


def test_the_last_point_is_the_leaderboards_own_row(texts_report: dict[str, Any]) -> None:
    rows = {row["experiment"]: row for row in texts_report["leaderboard"]}
    for curve in reviews(texts_report)["curves"]:
        last, row = curve["points"][-1], rows[curve["points"][-1]["experiment"]]
        assert [last[name] for name in ("value", "low", "high")] == [row[name] for name in ("value", "low", "high")]


def test_pre_training_is_compared_with_the_same_network_from_scratch_on_as_many_labels(
    texts: Path, texts_report: dict[str, Any]
) -> None:
    def scores(name: str) -> pd.Series:
        return pd.read_parquet(texts / "runs" / name / "evaluate/examples.parquet").groupby("id")["score"].mean()

    gains = reviews(texts_report)["pretraining"]
    assert [(g["experiment"], g["from_scratch"]) for g in gains] == [(name, f"{name}-fresh") for name in BERT]
    for gain in gains:
        effect = gain["effect"]
        assert effect["difference"] == pytest.approx((scores(gain["experiment"]) - scores(gain["from_scratch"])).mean())
        assert effect["low"] <= effect["difference"] <= effect["high"]
        assert effect["p_value"] <= effect["p_holm"] <= 3 * effect["p_value"]
    assert gains[0]["effect"]["p_holm"] < 0.05 <= gains[2]["effect"]["p_holm"]


def test_the_findings_say_what_pre_training_buys_at_each_share(texts_report: dict[str, Any]) -> None:
    answer = next(a for a in texts_report["answers"] if a["data"] == "reviews")
    (told,) = [text for text in answer["findings"] if text.startswith("What pre-training buys")]
    assert told.startswith("What pre-training buys BERT (prose-bert), against the same network from scratch: +")
    for share in ("1 % of the labels (20), p < 0.001;", "10 % of the labels (200), p ", "all labels (2,000), p = "):
        assert f"with {share}" in told
    for gain in reviews(texts_report)["pretraining"]:
        assert f"{100 * gain['effect']['difference']:.1f} points [" in told


def change(outputs: Path, name: str, **fields: Any) -> None:
    file = outputs / "runs" / name / "train/settings.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def board_of(outputs: Path, *names: str, baselines: tuple[str, ...] = ()) -> Any:
    return leaderboards(collect(outputs, "s", names, baselines), resamples=50, level=0.95)[0]


def test_another_learning_rate_makes_another_line(texts: Path, tmp_path: Path) -> None:
    for name in ("reviews-textcnn", "reviews-textcnn-tenth"):
        shutil.copytree(texts / "runs" / name, tmp_path / "runs" / name)
    assert len(board_of(tmp_path, "reviews-textcnn", "reviews-textcnn-tenth").curves) == 1
    change(tmp_path, "reviews-textcnn-tenth", training={"optimiser": {"lr": 0.1}})
    assert board_of(tmp_path, "reviews-textcnn", "reviews-textcnn-tenth").curves == ()


def test_of_two_trainings_on_the_same_labels_validation_chooses(texts: Path, tmp_path: Path) -> None:
    names = ["reviews-textcnn", "reviews-textcnn-tenth", "reviews-lstm"]
    for name in names:
        shutil.copytree(texts / "runs" / name, tmp_path / "runs" / name)
    same = json.loads((tmp_path / "runs/reviews-textcnn/train/settings.json").read_text())
    change(tmp_path, "reviews-lstm", model=same["model"])
    (curve,) = board_of(tmp_path, *names).curves
    assert [e.experiment for e in curve.points] == ["reviews-textcnn-tenth", "reviews-textcnn"]


def test_where_nothing_learnt_from_all_labels_the_board_says_so(texts: Path) -> None:
    from quintet.report import words

    alone = board_of(texts, "reviews-textcnn-tenth", "reviews-bert-001")
    assert [row.evaluated.experiment for row in alone.rows] == ["reviews-textcnn-tenth"]
    assert words.headline(alone).startswith("On **reviews**, with 10 % of the labels (200), the best is **TextCNN**")
    beside = board_of(texts, "reviews-textcnn-tenth", baselines=("reviews",))
    assert beside.neural == []
    told = words.headline(beside)
    assert told.startswith("On **reviews** no neural model was measured on all labels beside the baseline")
    assert words.findings(beside) == []


def test_a_baseline_with_as_few_labels_makes_a_line_and_is_what_a_network_is_compared_with(
    texts: Path, tmp_path: Path
) -> None:
    from quintet.report import words

    for name in ("reviews-textcnn", "reviews-textcnn-tenth"):
        shutil.copytree(texts / "runs" / name, tmp_path / "runs" / name)
    shutil.copytree(texts / "baselines/reviews", tmp_path / "baselines/reviews")
    shutil.copytree(texts / "baselines/reviews", tmp_path / "baselines/tenth")
    file = tmp_path / "baselines/tenth/frequent/evaluation.json"
    few = {"experiment": "tenth-frequent", "labels": 0.1, "labelled": 200}
    file.write_text(json.dumps(json.loads(file.read_text()) | few))
    board = board_of(tmp_path, "reviews-textcnn", "reviews-textcnn-tenth", baselines=("reviews", "tenth"))
    assert [row.evaluated.experiment for row in board.rows] == ["reviews-textcnn", "reviews-frequent"]
    assert [[e.experiment for e in curve.points] for curve in board.curves] == [
        ["tenth-frequent", "reviews-frequent"],
        ["reviews-textcnn-tenth", "reviews-textcnn"],
    ]
    (gain,) = board.gains
    assert (gain.network.experiment, gain.control.experiment) == ("reviews-textcnn-tenth", "tenth-frequent")
    assert gain.comparison.difference == pytest.approx(gain.network.estimate.value - gain.control.estimate.value)
    (told,) = [text for text in words.findings(board) if "on as many labels" in text]
    assert told.startswith("**TextCNN** against **most frequent** on as many labels: **+")
    assert "with 10 % of the labels (200), p " in told


def test_labels_asked_for_as_a_count_are_told_as_one(texts: Path, tmp_path: Path) -> None:
    from quintet.report import words

    names = ("reviews-textcnn", "reviews-textcnn-tenth")
    for name in names:
        shutil.copytree(texts / "runs" / name, tmp_path / "runs" / name)
    file = tmp_path / "runs/reviews-textcnn-tenth/evaluate/evaluation.json"
    counted = {"labels": 13 / 1169, "labelled": 13, "labels_counted": True}
    file.write_text(json.dumps(json.loads(file.read_text()) | counted))
    (curve,) = board_of(tmp_path, *names).curves
    assert [words.label_share(e) for e in curve.points] == ["13 labels", "all labels (2,000)"]
