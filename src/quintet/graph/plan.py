"""What a run would do, and what that would take: which stages and why, how long, how much memory and disk."""

from __future__ import annotations

import heapq
import os
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from quintet.errors import UserError
from quintet.graph.cost import Cost, expected_costs
from quintet.graph.duration import say_duration
from quintet.graph.stages import Graph, read_graph, restorable, why_stale


@dataclass(frozen=True)
class Plan:
    """What a run of `graph` would do. `reasons` says of each stage that would run why; the others are cached."""

    graph: Graph
    forced: frozenset[str]
    reasons: Mapping[str, str]
    # Of those in `reasons`, what DVC brings back from its cache instead.
    restored: frozenset[str]
    expected: Mapping[str, Cost]
    slots: int

    def rows(self) -> list[dict[str, str | int]]:
        """One row per stage, in the order of the graph."""
        return [self._row(name) for name in self.graph.stages]

    def _row(self, name: str) -> dict[str, str | int]:
        stage, cost = self.graph.stages[name], self.expected[name]
        will = "run" if self._runs(name) else "be restored" if name in self.restored else "stay cached"
        return {
            "stage": name,
            "will": will,
            "time": _said(say_duration, cost.seconds) if self._runs(name) else "",
            "memory": _said(say_megabytes, cost.memory_mb) if self._runs(name) else "",
            "disk": _said(say_megabytes, cost.disk_mb) if self._runs(name) else "",
            "CPU slots": stage.cpus,
            "GPUs": stage.gpus,
            "why": self.reasons.get(name, "unchanged"),
        }

    def _runs(self, name: str) -> bool:
        return name in self.reasons and name not in self.restored

    def seconds(self) -> dict[str, float]:
        """What each stage that would run should take, as far as that is known."""
        return {n: s for n in self.reasons if self._runs(n) and (s := self.expected[n].seconds) is not None}

    def ends(self) -> dict[str, float]:
        """When each of these stages would end, in seconds from the start."""
        return finish_times(self.graph, self.seconds(), self.slots)

    def memory_mb(self) -> float:
        """The most that stages running at the same time should need together."""
        seconds, ends = self.seconds(), self.ends()
        memory = {name: self.expected[name].memory_mb or 0.0 for name in ends}
        begins = {name: end - seconds[name] for name, end in ends.items()}
        return max(
            (sum(memory[n] for n in ends if begins[n] <= moment < ends[n]) for moment in begins.values()), default=0.0
        )

    def disk_mb(self) -> float:
        """What the outputs of the stages that would run should measure."""
        return sum(self.expected[name].disk_mb or 0.0 for name in self.reasons if self._runs(name))

    def summary(self) -> str:
        """In a line: how many stages, how long, how much memory and disk."""
        running = [name for name in self.reasons if self._runs(name)]
        line = f"{len(running)} of {len(self.graph.stages)} stages to run"
        if self.restored:
            line += f", {len(self.restored)} to be restored"
        if not running:
            return line
        noun = "slot" if self.slots == 1 else "slots"
        unknown = len(running) - len(self.seconds())
        rest = f", and {unknown} that nothing is known of" if unknown else ""
        return (
            f"{line}: at most {say_duration(max(self.ends().values(), default=0.0))} with {self.slots} {noun}{rest}; "
            f"{say_megabytes(self.memory_mb())} of memory at a time, {say_megabytes(self.disk_mb())} of outputs"
        )

    def lacks(self, root: Path, budget_seconds: float | None = None) -> list[str]:
        """What does not fit: into the time, the memory and the disk there are."""
        lines = []
        if budget_seconds is not None:
            late = sorted((end, name) for name, end in self.ends().items() if end > budget_seconds)
            lines += [
                f"does not fit in {say_duration(budget_seconds)}: {name} would end after {say_duration(end)}"
                for end, name in late
            ]
        for what, needed, free in (
            ("memory", self.memory_mb(), psutil.virtual_memory().available / 1e6),
            ("disk", self.disk_mb(), shutil.disk_usage(root).free / 1e6),
        ):
            if needed > free:
                lines.append(f"does not fit: {say_megabytes(needed)} of {what} needed, {say_megabytes(free)} are free")
        return lines


def make_plan(root: Path, stages: Sequence[str] | None = None, slots: int | None = None, force: bool = False) -> Plan:
    """What a run would do now; a UserError for stages that there are not, and for a broken dvc.yaml.

    `stages` are stages, groups or patterns (all if none); `force` runs these even where nothing changed.
    """
    slots = cores() if slots is None else checked_slots(slots)
    whole = read_graph(root)
    graph = whole.select(stages) if stages else whole
    forced = frozenset(name for item in stages or whole.stages for name in whole.named(item)) if force else frozenset()
    stale = why_stale(root)
    reasons = reasons_to_run(graph, stale, forced)
    first = [
        name for name in reasons if name not in forced and not any(up in reasons for up in graph.stages[name].needs)
    ]
    restored = frozenset(restorable(root, first)) if first else frozenset()
    return Plan(graph, forced, reasons, restored, expected_costs(root, graph), slots)


def reasons_to_run(graph: Graph, stale: Mapping[str, str], force: Collection[str] = ()) -> dict[str, str]:
    """Why each stage that may have to run would: forced, what DVC finds changed, or which stage it follows."""
    reasons: dict[str, str] = {}
    for name, stage in graph.stages.items():
        follows = [upstream for upstream in stage.needs if upstream in reasons]
        if name in force:
            reasons[name] = "forced"
        elif name in stale:
            reasons[name] = stale[name]
        elif follows:
            reasons[name] = f"after {', '.join(follows)}"
    return reasons


def cores() -> int:
    """Cores this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def checked_slots(cpus: int) -> int:
    """`cpus`, or a UserError where no stage could ever run on so few."""
    if cpus < 1:
        raise UserError("slots", f"{cpus} is too few", "it takes a whole number from 1 up")
    return cpus


def chain_seconds(graph: Graph, expected: Mapping[str, Cost]) -> dict[str, float]:
    """From the start of each stage to the end of the longest chain that hangs on it: longest first is a good order."""
    # A stage nothing is known of counts a little, so that long chains of unknown stages still come first.
    return _chains(graph, {name: 1.0 if (s := expected[name].seconds) is None else s for name in graph.stages})


def _chains(graph: Graph, seconds: Mapping[str, float]) -> dict[str, float]:
    below: dict[str, float] = dict.fromkeys(graph.stages, 0.0)
    chain: dict[str, float] = {}
    for name, stage in reversed(list(graph.stages.items())):
        chain[name] = seconds.get(name, 0.0) + below[name]
        for upstream in stage.needs:
            below[upstream] = max(below[upstream], chain[name])
    return chain


def finish_times(
    graph: Graph, seconds: Mapping[str, float], slots: int, running: Collection[str] = ()
) -> dict[str, float]:
    """When each stage named in `seconds` would end, in seconds from now, run as the flow does with `slots` CPU slots.

    Stages of `graph` that are absent from `seconds` count as done; those `running` hold their slots already.
    """
    chain = _chains(graph, seconds)
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


def text(plan: Plan) -> str:
    """The plan as lines for a terminal: a row per stage, then the summary."""
    rows = plan.rows()
    columns = ("stage", "will", "time", "memory", "disk")
    widths = {column: max(len(column), *(len(str(row[column])) for row in rows)) for column in columns}

    def line(row: Mapping[str, str | int]) -> str:
        return "  ".join([*(f"{row[column]!s:<{widths[column]}}" for column in columns), str(row["why"])])

    return "\n".join([line({column: column for column in (*columns, "why")}), *map(line, rows), plan.summary()])


def say_megabytes(size: float) -> str:
    """`size` in the unit that fits: '0.3 MB', '420 MB', '1.6 GB'."""
    if size < 10:
        return f"{size:.1f} MB"
    return f"{size:.0f} MB" if size < 1000 else f"{size / 1000:.1f} GB"


def _said(say: Callable[[float], str], value: float | None) -> str:
    return "unknown" if value is None else say(value)
