"""report.json: the stable result that programs read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from quintet.evaluation.statistics import ALPHA, Comparison
from quintet.report import words
from quintet.report.collect import Collected, Evaluated
from quintet.report.compare import Board, Row


def result(
    collected: Collected,
    boards: Sequence[Board],
    claims: Sequence[Mapping[str, Any]],
    *,
    resamples: int,
    level: float,
) -> dict[str, Any]:
    """The report as plain values.

    `generated_at` is when the last of its evaluations was made, so that the same files give the same
    report. `answers` has an entry for each leaderboard; `leaderboard` is flat, best first within each;
    `label_efficiency` has an entry for each leaderboard of which some networks learnt from fewer labels as well.
    """
    runs = [run for e in collected.evaluated for run in e.runs]
    return {
        "suite": collected.suite,
        "generated_at": max((e.evaluated_at for e in collected.evaluated), default=None),
        "commits": words.commits(runs),
        "statistics": {"resamples": resamples, "level": level, "alpha": ALPHA, "correction": "holm"},
        "answers": [_answer(board) for board in boards],
        "leaderboard": [_row(board, row) for board in boards for row in board.rows],
        "label_efficiency": [_labels(board) for board in boards if board.curves or board.gains],
        "claims": [dict(claim) for claim in claims],
        "missing": list(collected.missing),
        "provenance": {
            f"{e.task}/{e.data}/{e.experiment}": {
                "evaluated_at": e.evaluated_at,
                "environment": e.environment,
                "settings": words.settings(e),
                "runs": list(e.runs),
            }
            for e in collected.evaluated
        },
    }


def _answer(board: Board) -> dict[str, Any]:
    return {
        "task": board.task,
        "data": board.data,
        "examples": board.examples,
        "best": board.best.evaluated.experiment,
        "tied_with_best": [row.evaluated.experiment for row in board.tied],
        "champion": board.champion,
        "headline": words.headline(board).replace("**", ""),
        "findings": [text.replace("**", "") for text in words.findings(board)],
    }


def _row(board: Board, row: Row) -> dict[str, Any]:
    e = row.evaluated
    return {
        "task": board.task,
        "data": board.data,
        "rank": row.rank,
        "experiment": e.experiment,
        "family": e.family,
        "model": e.model,
        "title": e.title,
        "metric": board.metric,
        "direction": board.direction,
        "value": row.estimate.value,
        "low": row.estimate.low,
        "high": row.estimate.high,
        "seeds": list(e.examples.seeds),
        "per_seed": list(row.estimate.per_seed),
        "metrics": {name: asdict(m) | {"per_seed": list(m.per_seed)} for name, m in e.metrics.items()},
        "baseline": e.baseline,
        "beats_baselines": row.beats_baselines,
        "against_baseline": _effect(row.against_baseline, row.baseline_p_holm),
        "tied_with_best": row.tied_with_best,
        "p_value": row.against_best.p_value if row.against_best else None,
        "p_holm": row.p_holm,
        "effect": _effect(row.against_best),
        "champion": e.experiment == board.champion,
        "validation_score": e.training.validation_score if e.training else None,
        "expected": row.expected,
        "expected_reached": row.expected_reached,
        "made": _made(e),
        "cost": e.cost,
        "pareto": list(row.pareto),
        "budget": words.budget(row),
        "run_ids": [run.get("mlflow_run_id") for run in e.runs],
        "commit": ", ".join(words.commits(e.runs)) or None,
        "data_digest": e.data_digest,
    }


def _made(e: Evaluated) -> dict[str, Any] | None:
    """Of a network or baseline that makes images: what its figures are to be read beside, and what went wrong."""
    if e.generated is None:
        return None
    made = e.generated
    return {
        "judge_accuracy": made.judge_accuracy,
        "floor": made.floor,
        "ceiling": made.ceiling,
        "images_of_class": {
            str(seed): dict(zip(made.classes, counts, strict=True)) for seed, counts in made.counts.items()
        },
        "never_made": {str(seed): names for seed, names in words.never_made(made).items()},
        "warnings": words.troubles(e),
    }


def _labels(board: Board) -> dict[str, Any]:
    return {
        "task": board.task,
        "data": board.data,
        "metric": board.metric,
        "direction": board.direction,
        "curves": [
            {
                "title": curve.title,
                "family": curve.points[0].family,
                "points": [
                    {
                        "experiment": e.experiment,
                        "labels": e.labels,
                        "labelled": e.labelled,
                        "value": e.estimate.value,
                        "low": e.estimate.low,
                        "high": e.estimate.high,
                        "per_seed": list(e.estimate.per_seed),
                    }
                    for e in curve.points
                ],
            }
            for curve in board.curves
        ],
        "pretraining": [
            {
                "pretraining": gain.source,
                "experiment": gain.network.experiment,
                "from_scratch": gain.control.experiment,
                "labels": gain.network.labels,
                "labelled": gain.network.labelled,
                "effect": _effect(gain.comparison, gain.p_holm),
            }
            for gain in board.gains
            if gain.source is not None
        ],
        "baselines": [
            {
                "experiment": gain.network.experiment,
                "baseline": gain.control.experiment,
                "labels": gain.network.labels,
                "labelled": gain.network.labelled,
                "effect": _effect(gain.comparison, gain.p_holm),
            }
            for gain in board.gains
            if gain.source is None
        ],
    }


def _effect(comparison: Comparison | None, p_holm: float | None = None) -> dict[str, Any] | None:
    if comparison is None:
        return None
    effect: dict[str, Any] = {
        "difference": comparison.difference,
        "low": comparison.low,
        "high": comparison.high,
        "d": comparison.d,
    }
    if p_holm is not None:
        effect |= {"p_value": comparison.p_value, "p_holm": p_holm}
    return effect
