"""What a measured model leaves, whether it is a network or a baseline: the files the report reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from quintet.config import Evaluation
from quintet.evaluation import statistics
from quintet.tasks.objective import Objective, Predictions


def intervals(objective: Objective, found: Mapping[int, Predictions], settings: Evaluation) -> dict[str, Any]:
    """Each metric of the task: mean over seeds, bootstrap interval, value per seed."""
    by_seed = list(found.values())
    measures = [objective.measures(one) for one in by_seed]
    estimates = {
        name: statistics.estimate(
            [of_seed[name] for of_seed in measures],
            len(by_seed[0]),
            resamples=settings.resamples,
            level=settings.confidence,
        )
        for name in measures[0]
    }
    return {name: asdict(estimate) for name, estimate in estimates.items()}


def write_examples(folder: Path, objective: Objective, found: Mapping[int, Predictions]) -> list[str]:
    """`examples.parquet`, a row per seed and test example, and what else the task shows; the names of the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.concat_tables([p.table(seed) for seed, p in found.items()]), folder / "examples.parquet")
    return objective.write(folder, found)


def labels(objective: Objective, asked: float, where: str) -> dict[str, float]:
    """How many training examples there were to learn from, what share of all that is, and whether a count was asked."""
    labelled, most = objective.inputs.labelled(asked, where), objective.inputs.labelled(1.0, where)
    return {"labelled": labelled, "labels": asked if asked <= 1 else labelled / most, "labels_counted": asked > 1}


def write_evaluation(folder: Path, evaluation: dict[str, Any]) -> None:
    """`evaluation.json`; it comes last, so that a folder that has it is whole."""
    (folder / "evaluation.json").write_text(json.dumps(evaluation, indent=1), encoding="utf8")
