"""Where a flow's stages run: on this machine, or (`ray_engine.py`) on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from pipelines.run_stage import Outcome, StageProcesses, repro
from pipelines.slots import Lease, Slots
from quintet.graph.stages import Stage


class Engine(Protocol):
    """Runs single stages with what they ask for. Safe to use from several threads, apart from `prepare`.

    `processes` are those on this machine: of an engine whose stages run elsewhere, what it does at home.
    `cpus` is how many CPU slots there are in all.
    """

    processes: StageProcesses
    cpus: int

    def prepare(self, stages: Sequence[Stage]) -> None:
        """Makes ready for a run in which `stages` may have to run; a UserError where one could never."""

    def take(self, stage: Stage) -> Lease | None:
        """What `stage` holds while it runs, or None while that is not free."""

    def give_back(self, lease: Lease) -> None:
        """Ends `lease`."""

    def environment(self, lease: Lease) -> dict[str, str]:
        """Variables that keep a stage on this machine to its lease."""

    def run(
        self, stage: Stage, log: Callable[[str], None], environment: Mapping[str, str], force: bool = False
    ) -> Outcome:
        """Brings `stage`, whose upstream stages are done, up to date here, wherever it runs."""

    def end_all(self) -> None:
        """Ends every running stage and lets none start after."""

    def close(self) -> None:
        """Lets go of what `prepare` took."""

    def describe(self) -> str:
        """What there is to run on, in words."""


class LocalEngine:
    """This machine: its CPU slots and GPUs."""

    def __init__(self, root: Path, slots: Slots) -> None:
        self.root, self.slots = root, slots
        self.processes, self.cpus = StageProcesses(), slots.cpus

    def prepare(self, stages: Sequence[Stage]) -> None:
        for stage in stages:
            self.slots.check(stage.name, stage.gpus)

    def take(self, stage: Stage) -> Lease | None:
        return self.slots.take(stage.cpus, stage.gpus)

    def give_back(self, lease: Lease) -> None:
        self.slots.give_back(lease)

    def environment(self, lease: Lease) -> dict[str, str]:
        return self.slots.environment(lease)

    def run(
        self, stage: Stage, log: Callable[[str], None], environment: Mapping[str, str], force: bool = False
    ) -> Outcome:
        return repro(stage, self.root, self.processes, log, environment, force)

    def end_all(self) -> None:
        self.processes.end_all()

    def close(self) -> None:
        """There is nothing to let go of: stages that run are the business of `end_all`."""

    def describe(self) -> str:
        return f"{self.slots.cpus} CPU slots, GPUs: {', '.join(self.slots.gpus) or 'none'}"
