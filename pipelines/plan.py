"""How long stages take, from what they took before: order, time left, what fits a budget."""

from __future__ import annotations

import heapq
import json
import os
import statistics
from collections.abc import Collection, Mapping
from pathlib import Path

from pipelines.duration import say_duration
from pipelines.graph import Graph, Stage

_FILE = Path(".prefect", "durations.json")


def read_durations(root: Path) -> dict[str, float]:
    """Seconds each stage took when the flow last ran it."""
    file = root / _FILE
    return json.loads(file.read_text()) if file.is_file() else {}


def record_durations(root: Path, seconds: Mapping[str, float]) -> None:
    """Remembers what the stages took this time. One flow per checkout writes this; a reader never sees half a file."""
    file = root / _FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_text(json.dumps({**read_durations(root), **seconds}, indent=1, sort_keys=True) + "\n")
    os.replace(new, file)


def expected_seconds(graph: Graph, recorded: Mapping[str, float]) -> dict[str, float | None]:
    """What each stage should take: as last time, else what its run records say, else as its group's median.

    None where nothing like it ever ran.
    """
    known = {name: recorded.get(name) or _trained(stage) for name, stage in graph.stages.items()}
    groups: dict[str, list[float]] = {}
    for name, seconds in {**known, **recorded}.items():
        if seconds is not None:
            groups.setdefault(name.partition("@")[0], []).append(seconds)
    return {
        name: known[name]
        if known[name] is not None
        else (statistics.median(groups[stage.group]) if stage.group in groups else None)
        for name, stage in graph.stages.items()
    }


def chain_seconds(graph: Graph, seconds: Mapping[str, float | None]) -> dict[str, float]:
    """From the start of each stage to the end of the longest chain that hangs on it: longest first is a good order."""
    below: dict[str, float] = dict.fromkeys(graph.stages, 0.0)
    chain: dict[str, float] = {}
    for name, stage in reversed(list(graph.stages.items())):
        # A stage nothing is known of counts a little, so that long chains of unknown stages still come first.
        own = seconds[name]
        chain[name] = (1.0 if own is None else own) + below[name]
        for upstream in stage.needs:
            below[upstream] = max(below[upstream], chain[name])
    return chain


def finish_times(
    graph: Graph, seconds: Mapping[str, float], slots: int, running: Collection[str] = ()
) -> dict[str, float]:
    """When each stage named in `seconds` would end, in seconds from now, run as the flow does with `slots` CPU slots.

    Stages of `graph` that are absent from `seconds` count as done; those `running` hold their slots already.
    """
    chain = chain_seconds(graph, {name: seconds.get(name, 0.0) for name in graph.stages})
    left = dict(sorted(((name, graph.stages[name]) for name in seconds), key=lambda item: -chain[item[0]]))
    ends: dict[str, float] = {}
    busy: list[tuple[float, str]] = []
    free, now = slots, 0.0
    while left or busy:
        for name in sorted(left, key=lambda name: name not in running):
            stage, cpus = left[name], min(left[name].cpus, slots)
            waits = any(upstream in seconds and ends.get(upstream, now + 1) > now for upstream in stage.needs)
            if cpus <= free and (name in running or not waits):
                del left[name]
                free -= cpus
                ends[name] = now + seconds[name]
                heapq.heappush(busy, (ends[name], name))
        now, name = heapq.heappop(busy)
        free += min(graph.stages[name].cpus, slots)
    return ends


def plan_rows(
    graph: Graph, reasons: Mapping[str, str], expected: Mapping[str, float | None]
) -> list[dict[str, str | int]]:
    """One row per stage, in the order of the graph."""
    rows: list[dict[str, str | int]] = []
    for name, stage in graph.stages.items():
        seconds = expected[name]
        row: dict[str, str | int] = {"stage": name, "will": "run" if name in reasons else "stay cached"}
        row["why"] = reasons.get(name, "unchanged")
        row["expected"] = "" if name not in reasons else "unknown" if seconds is None else say_duration(seconds)
        row |= {"CPU slots": stage.cpus, "GPUs": stage.gpus}
        rows.append(row)
    return rows


def does_not_fit(ends: Mapping[str, float], budget_seconds: float) -> dict[str, float]:
    """The stages that would end after the budget, the earliest first, with their ends in seconds from now."""
    late = {name: end for name, end in ends.items() if end > budget_seconds}
    return dict(sorted(late.items(), key=lambda item: item[1]))


def _trained(stage: Stage) -> float | None:
    """Seconds that the run records in a stage's outputs account for: what is known after a plain `dvc repro`."""
    records = [file for out in stage.outs for file in out.glob("seed-*/run.json")]
    total = sum(float(json.loads(file.read_text()).get("train_seconds", 0.0)) for file in records)
    return total or None
