"""Which stage may start, and how: the order of a run, apart from threads, processes and Prefect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from quintet.graph.stages import Graph, Stage

How = Literal["repro", "cached", "incomplete", "skip"]
Result = Literal["ran", "cached", "skipped", "failed", "stopped"]


@dataclass(frozen=True)
class Step:
    """A stage whose turn has come. `why` names what changed, or what it has to do without."""

    stage: Stage
    how: How
    why: str
    missing: tuple[str, ...] = ()


class Schedule:
    """The stages of one run, from waiting to settled.

    A stage's turn comes when all it needs is settled. It is `cached` at once where DVC finds neither it
    nor anything above it stale, `skip`ped where something above it failed (or, unless `keep_going`,
    where anything failed), made `incomplete` instead where its meta says `always`, else `repro`d: DVC
    then still finds out whether its inputs really changed.
    """

    def __init__(self, graph: Graph, reasons: Mapping[str, str], keep_going: bool = True) -> None:
        self._graph, self._keep_going = graph, keep_going
        self.reasons = reasons
        self._waiting = dict(graph.stages)
        self._failed: list[str] = []
        self._skipped: list[str] = []
        self._done: set[str] = set()

    @property
    def waiting(self) -> list[str]:
        """Stages not started yet, upstream first."""
        return list(self._waiting)

    @property
    def finished(self) -> bool:
        return len(self._done) == len(self._graph.stages)

    def ready(self) -> list[Step]:
        """The steps that could start now."""
        return [
            self._step(stage)
            for stage in self._waiting.values()
            if all(upstream in self._done for upstream in stage.needs)
        ]

    def start(self, name: str) -> None:
        """Takes `name` off the waiting list."""
        del self._waiting[name]

    def settle(self, name: str, result: Result) -> None:
        """Records how `name` ended."""
        self._done.add(name)
        if result == "skipped":
            self._skipped.append(name)
        elif result in ("failed", "stopped"):
            self._failed.append(name)

    def _step(self, stage: Stage) -> Step:
        above = self._graph.select([stage.name]).stages.keys() - {stage.name}
        failed = [name for name in self._failed if name in above]
        missing = tuple(name for name in self._graph.stages if name in above and name in {*failed, *self._skipped})
        if stage.always and missing:
            return Step(stage, "incomplete", f"without {', '.join(missing)}", missing)
        if missing:
            return Step(stage, "skip", f"{', '.join(failed)} failed" if failed else f"{', '.join(missing)} skipped")
        if self._failed and not self._keep_going and not stage.always:
            return Step(stage, "skip", f"stopped at the first failure, {self._failed[0]}")
        if stage.name in self.reasons:
            return Step(stage, "repro", self.reasons[stage.name])
        return Step(stage, "cached", "unchanged")
