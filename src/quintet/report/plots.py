"""Tidy CSV files, one row an observation, for `dvc plots` and for spreadsheets."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from quintet.report.collect import CURVE_COLUMNS, Collected
from quintet.report.compare import COSTS, Board

CURVES = ("step", "epoch", "seconds", "train_loss", "validation_loss", "validation_score")


def write_plots(folder: Path, collected: Collected, boards: Sequence[Board]) -> None:
    """Write curves.csv, leaderboard.csv and confusion.csv (a row for each answer of each seed)."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = [CURVE_COLUMNS.index(name) for name in CURVES]
    _write(
        folder / "curves.csv",
        ("data", "experiment", "family", "seed", *CURVES),
        (
            (e.data, e.experiment, e.family, seed, *(_cell(row[i]) for i in columns))
            for e in collected.evaluated
            if e.training
            for seed, curve in e.training.curves.items()
            for row in curve
        ),
    )
    _write(
        folder / "leaderboard.csv",
        ("task", "data", "experiment", "family", "baseline", "metric", "value", "low", "high", "p_holm", *COSTS),
        (
            (
                *(board.task, board.data, row.evaluated.experiment, row.evaluated.family, row.evaluated.baseline),
                *(board.metric, row.estimate.value, row.estimate.low, row.estimate.high, row.p_holm),
                *(row.cost(name) for name in COSTS),
            )
            for board in boards
            for row in board.rows
        ),
    )
    _write(
        folder / "confusion.csv",
        ("data", "experiment", "seed", "actual", "predicted"),
        (
            (e.data, e.experiment, seed, actual, predicted)
            for e in collected.evaluated
            if e.confusion
            for seed, answers in zip(e.examples.seeds, e.examples.predictions, strict=True)
            for actual, predicted in zip(e.examples.targets, answers, strict=True)
        ),
    )


def _cell(number: float | None) -> float | int | None:
    """Steps and epochs without a fraction."""
    return int(number) if number is not None and number.is_integer() else number


def _write(file: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with file.open("w", newline="", encoding="utf8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
