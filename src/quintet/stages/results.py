"""What a measured model leaves, whether it is a network or a baseline: the files the report reads."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from quintet.config import Evaluation
from quintet.evaluation import statistics
from quintet.tasks.classification import Predictions


def intervals(found: dict[int, Predictions], num_classes: int, settings: Evaluation) -> dict[str, Any]:
    """Each metric of the task: mean over seeds, bootstrap interval, value per seed."""
    by_seed = list(found.values())
    resamples, level = settings.resamples, settings.confidence
    score = np.stack([p.score for p in by_seed])
    estimates = {
        "accuracy": statistics.mean_estimate(score, resamples=resamples, level=level),
        "macro_f1": statistics.macro_f1_estimate(
            by_seed[0].target, np.stack([p.prediction for p in by_seed]), num_classes, resamples=resamples, level=level
        ),
        "nll": statistics.mean_estimate(np.stack([p.nll for p in by_seed]), resamples=resamples, level=level),
        "calibration_error": statistics.calibration_estimate(
            np.stack([p.confidence for p in by_seed]), score, resamples=resamples, level=level
        ),
    }
    exact = [p.metrics(num_classes) for p in by_seed]
    for name, estimate in estimates.items():
        # torchmetrics is the measure; the statistics recompute it on resamples and must agree on the whole.
        assert np.allclose(estimate.per_seed, [m[name] for m in exact], atol=1e-4), (name, estimate, exact)
    return {name: asdict(estimate) for name, estimate in estimates.items()}


def confusion(found: dict[int, Predictions], classes: tuple[str, ...]) -> dict[str, Any]:
    """Counts over all seeds: rows are true classes, columns predicted ones."""
    matrix = np.zeros((len(classes), len(classes)), np.int64)
    for predictions in found.values():
        np.add.at(matrix, (predictions.target, predictions.prediction), 1)
    return {"classes": list(classes), "matrix": matrix.tolist()}


def write_examples(folder: Path, found: dict[int, Predictions], classes: tuple[str, ...]) -> None:
    """`examples.parquet`, a row per seed and test example, and `confusion.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.concat_tables([p.table(seed) for seed, p in found.items()]), folder / "examples.parquet")
    (folder / "confusion.json").write_text(json.dumps(confusion(found, classes)), encoding="utf8")


def write_evaluation(folder: Path, evaluation: dict[str, Any]) -> None:
    """`evaluation.json`; it comes last, so that a folder that has it is whole."""
    (folder / "evaluation.json").write_text(json.dumps(evaluation, indent=1), encoding="utf8")
