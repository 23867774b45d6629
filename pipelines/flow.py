"""The flow `quintet`: DVC's graph as Prefect tasks, as many at a time as there are slots.

The flow's own thread is the scheduler: a stage is handed to a task only when all it needs is settled and
its slots are free, so a task that Prefect shows as running really runs. Each task supervises one
`dvc repro` family of processes; DVC is the only cache and the only judge of what is up to date.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from prefect import allow_failure, flow, get_client, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from pipelines.artifacts import Progress, publish_plan, publish_results, publish_runs, server_answers, stage_runs
from pipelines.engine import Engine, LocalEngine
from pipelines.run_stage import Outcome, StageProcesses, Stopped, run_command, run_incomplete
from pipelines.schedule import Result, Schedule, Step
from pipelines.slots import Lease, Slots, visible_gpus
from quintet.errors import UserError
from quintet.graph.cost import Cost, record_measured
from quintet.graph.duration import say_duration
from quintet.graph.plan import Plan, chain_seconds, finish_times, make_plan
from quintet.graph.stages import Stage
from quintet.suites import put_in_force
from quintet.tracking.store import Store
from quintet.tracking.sync import up_to_date

_POLL_SECONDS = 2.0
EngineName = Literal["local", "ray"]
_NAMES: dict[Result, str] = {"ran": "Ran", "cached": "Cached", "skipped": "Skipped"}


def _may_pass(_: Any, __: Any, state: State[Any]) -> bool:
    """Whether another try could end better."""
    return isinstance(state.data, Outcome) and state.data.transient


@task(
    task_run_name="{step.stage.name}",
    retries=1,
    retry_condition_fn=_may_pass,
    cache_policy=NO_CACHE,
    persist_result=False,
)
def perform(step: Step, root: Path, engine: Engine, environment: Mapping[str, str], force: bool) -> State[Outcome]:
    """One stage; the state's name is Ran, Cached, Skipped, Failed or Cancelled."""
    log = get_run_logger().info
    try:
        if step.how == "repro":
            outcome = engine.run(step.stage, log, environment, force)
        elif step.how == "incomplete":
            outcome = run_incomplete(step.stage, root, engine.processes, log, environment, step.missing)
        else:
            outcome = Outcome("cached" if step.how == "cached" else "skipped", 0.0, step.why)
    except Stopped:
        outcome = Outcome("stopped", 0.0, "the flow ended before it could start")
    if outcome.result in ("ran", "cached"):
        publish_runs(step.stage, root)
    message = " · ".join(part for part in (say_duration(outcome.seconds), outcome.detail) if part)
    if outcome.result == "failed":
        return Failed(message=message, data=outcome)
    if outcome.result == "stopped":
        return Cancelled(message=message, data=outcome)
    return Completed(name=_NAMES[outcome.result], message=message, data=outcome)


@task(task_run_name="sync", cache_policy=NO_CACHE, persist_result=False)
def sync_tracking(root: Path, processes: StageProcesses) -> None:
    """Shows in MLflow what DVC restored, and what could not be sent while stages ran."""
    sync = Stage("sync", (), "python -m quintet sync", root, ())
    outcome = run_command(sync, processes, get_run_logger().info, {})
    if outcome.result != "ran":
        raise RuntimeError(outcome.detail)


# How the last run in this process ended: Prefect's server may no longer be there to be told.
ended: State[Any] | None = None

# The slots say how many stages run at a time; this only keeps the number of threads finite.
_THREADS: TaskRunner[PrefectFuture[Any]] = ThreadPoolTaskRunner(max_workers=256)  # type: ignore[assignment]


@flow(name="quintet", task_runner=_THREADS, persist_result=False)
def run_pipeline(
    root: str = ".",
    suite: str | None = None,
    stages: list[str] | None = None,
    slots: int | None = None,
    force: bool = False,
    keep_going: bool = True,
    engine: EngineName = "local",
) -> State[Any]:
    """Brings the stages of a DVC repository up to date.

    Args:
        root: The folder that holds dvc.yaml.
        suite: The suite to put in force first, such as `smoke` or `embedded`; params.yaml as it is if left out.
            Fails where params.yaml has edits that would be lost.
        stages: Stages (`train@lenet`), groups (`train`) or patterns (`*@lenet*`) to bring up to date with all
            they need; everything if left out.
        slots: CPU slots to share out; the cores of this machine if left out.
        force: Run the named stages (all, if none are named) even where nothing changed.
        keep_going: After a failure go on with the stages that do not depend on it.
        engine: `local`, this machine, or `ray`, the machines of a Ray cluster (docs/many-machines.md).
    """
    global ended
    ended = None
    place = Path(root).resolve()
    (place / ".prefect").mkdir(exist_ok=True)
    try:
        # Two flows in one workspace would write the same outputs. The kernel drops the lock with its holder.
        with FileLock(place / ".prefect" / "flow.lock", timeout=0):
            if suite:
                get_run_logger().info(put_in_force(place, suite))
            ended = _Run(place, stages, slots, force, keep_going, engine).run()
            return ended
    except Timeout:
        return Failed(message=f"{place}: another flow is running here; wait for it, or cancel it")
    except UserError as error:
        return Failed(message=str(error))


class _Run:
    """One run of the flow."""

    def __init__(
        self,
        root: Path,
        stages: list[str] | None,
        slots: int | None,
        force: bool,
        keep_going: bool,
        engine: EngineName,
    ) -> None:
        self.root = root
        self.plan = make_plan(root, stages, slots, force)
        self.graph = self.plan.graph
        self.engine = _engine(engine, root, self.plan)
        self.schedule = Schedule(self.graph, self.plan.reasons, keep_going)
        self.futures: dict[str, PrefectFuture[Any]] = {}
        self.leases: dict[str, Lease] = {}
        self.started: dict[str, float] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.finished: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.log = get_run_logger()

    def run(self) -> State[Any]:
        try:
            self.engine.prepare([self.graph.stages[name] for name in self.schedule.reasons])
            return self._run()
        finally:
            self.engine.close()

    def _run(self) -> State[Any]:
        publish_plan(self.plan, self.root)
        self.log.info("%s. %s", self.plan.summary(), self.engine.describe())
        for line in self.plan.lacks(self.root):
            self.log.warning(line)
        progress = Progress(len(self.graph.stages))
        try:
            with get_client(sync_client=True) as client:
                self._loop(progress, client)
        except BaseException as reason:
            # A signal, Ctrl-C, or our own mistake: whatever it is, no process of a stage outlives it. This comes before
            # all else: even a line in the log can fail, where it went to a worker that was killed.
            self.engine.end_all()
            for future in self.futures.values():
                future.wait(5)
            if isinstance(reason, KeyboardInterrupt | _CancelledInUI):
                return Cancelled(message=f"Cancelled. {summary(self._settled())}")
            raise
        finally:
            ran = {name: Cost(o.seconds, o.memory_mb) for name, o in self.outcomes.items() if o.result == "ran"}
            record_measured(self.root, ran)
        self._sync()
        publish_results(self.root)
        line = summary(self.outcomes)
        self.log.info(line)
        good = all(outcome.result in ("ran", "cached") for outcome in self.outcomes.values())
        return Completed(message=line) if good else Failed(message=line)

    def _loop(self, progress: Progress, client: SyncPrefectClient) -> None:
        chain = chain_seconds(self.graph, self.plan.expected)
        polled = time.monotonic()
        while not self.schedule.finished:
            # Longest chain first; a stage that does not fit now lets smaller ones pass.
            for step in sorted(self.schedule.ready(), key=lambda step: -chain[step.stage.name]):
                self._start(step)
            try:
                self._settle(self.finished.get(timeout=_POLL_SECONDS))
                while not self.finished.empty():
                    self._settle(self.finished.get())
                progress.update(len(self.outcomes), self._left())
            except queue.Empty:
                pass
            if time.monotonic() - polled > _POLL_SECONDS:
                polled = time.monotonic()
                if server_answers():
                    self._look_for_cancellation(client)

    def _sync(self) -> None:
        """Brings MLflow up to date where Quintet's own stages did something. The runs are on disk: it fails no flow."""
        did = [self.graph.stages[name] for name, outcome in self.outcomes.items() if outcome.seconds]
        if not any(" -m quintet " in stage.command for stage in did):
            return
        # The report has done it already, unless it had no part in this.
        if not up_to_date(self.root, Store(root=self.root)):
            sync_tracking(self.root, self.engine.processes, return_state=True)
        for stage in did:
            if any(run.get("mlflow_run_id") is None for run in stage_runs(stage)):
                publish_runs(stage, self.root)

    def _start(self, step: Step) -> None:
        name = step.stage.name
        environment = {"QUINTET_FLOW_RUN_ID": str(flow_run.id)}
        if step.how in ("repro", "incomplete"):
            lease = self.engine.take(step.stage)
            if lease is None:
                return
            self.leases[name] = lease
            environment |= self.engine.environment(lease)
        self.schedule.start(name)
        self.started[name] = time.monotonic()
        # Settled already: these only draw the arrows in Prefect's picture of the run.
        needed: list[Any] = [allow_failure(self.futures[upstream]) for upstream in step.stage.needs]
        future: PrefectFuture[Any] = perform.with_options(name=step.stage.group).submit(
            step, self.root, self.engine, environment, name in self.plan.forced, return_state=False, wait_for=needed
        )
        self.futures[name] = future
        future.add_done_callback(lambda _: self.finished.put(name))

    def _settle(self, name: str) -> None:
        outcome: Outcome = self.futures[name].result(raise_on_failure=False)
        if not isinstance(outcome, Outcome):
            raise RuntimeError(f"Prefect did not run the task of {name}: {self.futures[name].state}")
        if name in self.leases:
            self.engine.give_back(self.leases.pop(name))
        self.outcomes[name] = outcome
        self.schedule.settle(name, outcome.result)
        if outcome.result != "cached" or outcome.seconds:
            self.log.info("%s %s, %s %s", name, outcome.result, say_duration(outcome.seconds), outcome.detail)

    def _settled(self) -> dict[str, Outcome]:
        """Outcomes so far, those that ended with the run included."""
        late = {name: self.futures[name].result(raise_on_failure=False) for name in self.leases}
        return {**self.outcomes, **{name: outcome for name, outcome in late.items() if isinstance(outcome, Outcome)}}

    def _left(self) -> str:
        """The time left in words; nothing where some stage's duration is not known."""
        now = time.monotonic()
        running = [name for name in self.leases if name not in self.outcomes]
        seconds: dict[str, float] = {}
        for name in [*running, *(n for n in self.schedule.waiting if n in self.schedule.reasons)]:
            expected = 0.0 if name in self.plan.restored else self.plan.expected[name].seconds
            if expected is None:
                return ""
            seconds[name] = max(0.0, expected - (now - self.started.get(name, now)))
        ends = finish_times(self.graph, seconds, self.engine.cpus, running)
        return say_duration(max(ends.values())) if ends else ""

    def _look_for_cancellation(self, client: SyncPrefectClient) -> None:
        """Cancelling in the UI reaches a deployed run by signal from its worker; this reaches it without one too:
        a run started by hand, or one whose worker was killed."""
        try:
            state = client.read_flow_run(flow_run.id).state
        except Exception as error:
            self.log.debug("Prefect's server did not answer: %s", error)
            return
        if state is not None and (state.is_cancelling() or state.is_cancelled()):
            raise _CancelledInUI


def _engine(name: EngineName, root: Path, plan: Plan) -> Engine:
    if name == "local":
        return LocalEngine(root, Slots(plan.slots, visible_gpus()))
    try:
        from pipelines.ray_engine import RayEngine
    except ImportError as error:
        raise UserError("engine", f"ray is not installed ({error})", "pip install 'quintet[ray]'") from error
    return RayEngine(root, plan.graph, plan.slots, plan.forced)


class _CancelledInUI(Exception):
    """Somebody pressed Cancel."""


def summary(outcomes: Mapping[str, Outcome]) -> str:
    """One line: what ran, was cached, skipped, failed, each with its seconds."""
    parts = []
    for result in ("ran", "cached", "skipped", "failed", "stopped"):
        chosen = {name: outcome for name, outcome in outcomes.items() if outcome.result == result}
        if chosen:
            listed = ", ".join(
                f"{name} ({outcome.detail})"
                if result == "skipped"
                else f"{name} {say_duration(outcome.seconds)}"
                if outcome.seconds
                else name
                for name, outcome in chosen.items()
            )
            parts.append(f"{len(chosen)} {result}: {listed}")
    return " · ".join(parts) or "nothing to do"
