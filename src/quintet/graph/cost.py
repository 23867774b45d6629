"""What stages take: seconds, memory and disk, from what they took before.

The flow measures every stage that it runs. Where it never ran one, a plain `dvc repro` has left records of its
trainings in the stage's outputs; where there are none either, stages of the same group speak for it.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from quintet import config
from quintet.graph.stages import Graph, Stage
from quintet.tracking.journal import FILE_NAME, read

_FILE = Path(".prefect", "stages.json")
_RECORD = "run.json"
_MEMORY = "system/process_memory_megabytes"


@dataclass(frozen=True)
class Cost:
    """What running a stage takes; None where that is not known. MB are 10^6 bytes."""

    seconds: float | None = None
    # Of its largest process.
    memory_mb: float | None = None
    # Of its outputs; DVC's cache takes as much again where it can not link.
    disk_mb: float | None = None


def read_measured(root: Path) -> dict[str, Cost]:
    """What each stage took when the flow last ran it."""
    file = root / _FILE
    content = json.loads(file.read_text(encoding="utf8")) if file.is_file() else {}
    return {name: Cost(**measured) for name, measured in content.items()}


def record_measured(root: Path, costs: Mapping[str, Cost]) -> None:
    """Remembers what stages took this time. One flow per checkout writes this; a reader never sees half a file."""
    file = root / _FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    content = {name: vars(cost) for name, cost in {**read_measured(root), **costs}.items()}
    new.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf8")
    os.replace(new, file)


def expected_costs(root: Path, graph: Graph) -> dict[str, Cost]:
    """What each stage should take: as last time, with the training time in proportion to a budget that has changed,
    else the median of its group."""
    measured = read_measured(root)
    records = {name: _records(stage) for name, stage in graph.stages.items()}
    suite = config.load(root) if any(records.values()) else None
    known = {
        name: _known(stage, measured.get(name, Cost()), records[name], suite) for name, stage in graph.stages.items()
    }
    groups: dict[str, list[Cost]] = {}
    for name, cost in {**measured, **known}.items():
        groups.setdefault(name.partition("@")[0], []).append(cost)
    return {name: _completed(cost, groups[graph.stages[name].group]) for name, cost in known.items()}


def _known(stage: Stage, measured: Cost, records: Sequence[Mapping[str, Any]], suite: config.Suite | None) -> Cost:
    trained = sum(float(record["train_seconds"]) for record in records)
    again = _training_seconds(records, suite)
    if measured.seconds is None:
        seconds = again or None
    else:
        # What is not training (imports, data, saving) stays as it was.
        seconds = max(0.0, measured.seconds - trained) + again
    memory = _journals_memory(stage) if measured.memory_mb is None else measured.memory_mb
    return Cost(seconds, memory, None if stage.outs_bytes is None else stage.outs_bytes / 1e6)


def _completed(cost: Cost, group: Sequence[Cost]) -> Cost:
    """`cost`, with what is not known of it from the others of its group."""
    values = {}
    for field in fields(Cost):
        own = getattr(cost, field.name)
        others = [value for other in group if (value := getattr(other, field.name)) is not None]
        values[field.name] = own if own is not None else statistics.median(others) if others else None
    return Cost(**values)


def _records(stage: Stage) -> list[dict[str, Any]]:
    """The records of trainings in a stage's outputs, one for each seed."""
    files = [file for out in stage.outs if out.is_dir() for file in out.rglob(_RECORD)]
    return [json.loads(file.read_text(encoding="utf8")) for file in files]


def _training_seconds(records: Sequence[Mapping[str, Any]], suite: config.Suite | None) -> float:
    """What the trainings in `records` would take now, with the budget and the seeds that params.yaml has now."""
    total = 0.0
    for record in records:
        seconds, experiment = float(record["train_seconds"]), suite and suite.experiments.get(record["experiment"])
        if experiment and experiment.training.budget:
            budget, before = experiment.training.budget, record["budget"]
            per = {"epochs": record["epochs"], "steps": record["steps"], "seconds": seconds}[budget.kind]
            # One that stopped early is expected to do so at the same share of its budget.
            seconds *= budget.allowed / per * before["used"] / before["allowed"]
            seconds *= len(experiment.seeds) / len(records)
        total += seconds
    return total


def _journals_memory(stage: Stage) -> float | None:
    """The most memory that a process in the journals of a stage's outputs had."""
    journals = [file for out in stage.outs if out.is_dir() for file in out.rglob(FILE_NAME)]
    events = (event for journal in journals for event in read(journal) if event["event"] == "metrics")
    return max((event["values"][_MEMORY] for event in events if _MEMORY in event["values"]), default=None)
