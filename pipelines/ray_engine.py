"""`engine: ray`: stages run on the machines of a Ray cluster, each in a clone of its own.

Only what would really run goes away: what DVC finds unchanged, or in its run cache here or on the remote, is settled
at home. Away, a worker takes on this working tree (`snapshot.py`, `workspace.py`), pulls the stage's
inputs from DVC's remote, runs it, and pushes what it made and its entry in the run cache. Home then
restores it from there. Nothing but code, `dvc.lock` and an outcome goes through Ray itself.
"""

from __future__ import annotations

import contextlib
import contextvars
import ipaddress
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ray
import ray.exceptions
import yaml
from prefect import get_client, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.settings import get_current_settings
from prefect.states import Cancelled, Crashed
from prefect_ray import RayTaskRunner
from prefect_ray.context import remote_options
from prefect_ray.task_runners import PrefectRayFuture

from pipelines import workspace
from pipelines.engine import LocalEngine
from pipelines.run_stage import Outcome, StageProcesses, Stopped, dvc, repro
from pipelines.slots import Lease, Slots, visible_gpus
from pipelines.snapshot import Snapshot, take_snapshot
from quintet.errors import UserError
from quintet.graph.stages import Graph, Stage
from quintet.tracking.sync import UNSENT

# What `python -m pipelines worker` says its machine has: stages go to such machines alone.
WORKER = "quintet"
WORKSPACE = "QUINTET_WORKSPACE"

_TRIES = 3
_LOOK_SECONDS = 10.0
_PATIENCE_SECONDS = 60.0
# Holds nothing here: Ray finds the place, and keeps the stage waiting until there is one.
_AWAY = Lease(0, ())
# With this for a shell, DVC can restore a stage but not run its command.
_RESTORE_ONLY = {"SHELL": "/bin/false"}


class RayEngine:
    """A Ray cluster, and this machine for what cannot go away.

    A stage stays here if it is `always` made (it reads everything, and takes what is missing), if DVC
    keeps no run cache for it, or if it reads a file that neither git nor DVC would bring to a worker.
    """

    def __init__(self, root: Path, graph: Graph, slots: int, forced: Collection[str] = ()) -> None:
        self.root, self.graph, self.forced = root, graph, forced
        self.home = LocalEngine(root, Slots(slots, visible_gpus()))
        self.processes: StageProcesses = self.home.processes
        self.cpus = self.home.cpus
        self._runner: Any = RayTaskRunner()
        self._context = contextvars.copy_context()
        self._at_home: frozenset[str] = frozenset()
        self._snapshot: Any = None
        self._largest = 1
        self._words = ""
        # DVC's own lock lets in one command at a time anyway; this one keeps dvc.lock whole while it is read.
        self._dvc = threading.Lock()
        self._lock = threading.Lock()
        self._running: list[PrefectRayFuture[Any]] = []
        self._stopping = False

    # -- before the first stage

    def prepare(self, stages: Sequence[Stage]) -> None:
        remote = reachable_remote(self.root)
        snapshot, files = take_snapshot(self.root)
        self._at_home = frozenset(name for name, stage in self.graph.stages.items() if self._must_stay(stage, files))
        for stage in stages:
            if stage.name in self.forced and not self._stays(stage):
                what = f"{stage.name} would run elsewhere, and DVC restore its old result here: its key is the same"
                raise UserError("force", what, "use engine local, or change what the stage depends on")
        self._connect()
        nodes = _workers()
        if not nodes:
            where = f"the Ray cluster at {os.environ.get('RAY_ADDRESS', 'this machine')}"
            raise UserError(where, "no worker has joined it", "in a clone on each: python -m pipelines worker ADDRESS")
        _check_reachable(nodes)
        self._largest = max(int(node["Resources"].get("CPU", 0)) for node in nodes)
        self.cpus = sum(int(node["Resources"].get("CPU", 0)) for node in nodes)
        gpus = [int(node["Resources"].get("GPU", 0)) for node in nodes]
        for stage in stages:
            if self._stays(stage):
                self.home.prepare([stage])
            elif stage.gpus > max(gpus):
                what = f"{stage.gpus} asked for, the largest worker has {max(gpus)}"
                raise UserError(f"dvc.yaml: {stage.name}: meta.gpus", what)
        self._words = f"{len(nodes)} Ray workers with {self.cpus} CPUs and {sum(gpus)} GPUs, DVC remote {remote}"
        self._snapshot = ray.put(snapshot)
        self._runner.__enter__()
        needed = {upstream for stage in stages if not self._stays(stage) for upstream in stage.needs}
        inputs = sorted(needed - {stage.name for stage in stages})
        if inputs:
            # The outputs that are here and that workers will ask the remote for.
            pushed = self._dvc_at_home(["push", *inputs], Stage("push", (), "", self.root, ()), lambda line: None)
            if pushed.result == "failed":
                raise UserError(f"dvc push to {remote}", pushed.detail, "'dvc push' shows the whole message")

    def _connect(self) -> None:
        in_main_thread = threading.current_thread() is threading.main_thread()
        handler = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(address=os.environ.get("RAY_ADDRESS", "auto"), log_to_driver=False, configure_logging=False)
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            right = "start one with 'ray start --head', or set RAY_ADDRESS"
            raise UserError("the Ray cluster", f"can not be reached ({error})", right) from None
        finally:
            if in_main_thread:
                signal.signal(signal.SIGTERM, handler)  # which ray.init replaces by its own

    def _stays(self, stage: Stage) -> bool:
        return stage.name in self._at_home

    def _must_stay(self, stage: Stage, files: Collection[str]) -> bool:
        made = {out for upstream in stage.needs for out in self.graph.stages[upstream].outs}
        return stage.always or not stage.cacheable or not all(self._travels(dep, made, files) for dep in stage.deps)

    def _travels(self, dep: Path, made: Collection[Path], files: Collection[str]) -> bool:
        """Whether DVC's remote or git brings `dep`, a file or a folder, to a worker."""
        if any(out == dep or dep in out.parents or out in dep.parents for out in made):
            return True
        if not dep.is_relative_to(self.root):
            return False
        name = dep.relative_to(self.root).as_posix()
        return name in files or any(file.startswith(f"{name}/") for file in files)

    # -- slots

    def take(self, stage: Stage) -> Lease | None:
        return self.home.take(stage) if self._stays(stage) else _AWAY

    def give_back(self, lease: Lease) -> None:
        if lease is not _AWAY:
            self.home.give_back(lease)

    def environment(self, lease: Lease) -> dict[str, str]:
        return {} if lease is _AWAY else self.home.environment(lease)

    # -- stages

    def run(
        self, stage: Stage, log: Callable[[str], None], environment: Mapping[str, str], force: bool = False
    ) -> Outcome:
        if self._stays(stage):
            return self._share(stage, self.home.run(stage, log, environment, force), log)
        here = self._restore(stage)
        if here.result in ("cached", "stopped"):
            return self._share(stage, here, log)
        away = self._run_away(stage, log, environment)
        if away.result not in ("ran", "cached"):
            return away
        here = self._restore(stage)
        if here.result != "cached":
            what = f"its result did not come back by DVC's remote ({here.detail}); did files change meanwhile?"
            return Outcome("failed", away.seconds, what)
        return away

    def end_all(self) -> None:
        with self._lock:
            self._stopping = True
            running = list(self._running)
        for future in running:
            # Kills its process; the guard over there ends the stage. Ray's gentle way would not wake one that waits.
            ray.cancel(future.wrapped_future, force=True)
        self.processes.end_all()
        for future in running:
            self._tell(future, Cancelled(message="ended with its flow"))

    def close(self) -> None:
        ray.shutdown()

    def describe(self) -> str:
        return self._words

    def _dvc_at_home(self, arguments: list[str], stage: Stage, log: Callable[[str], None]) -> Outcome:
        with self._dvc:
            untimed = replace(stage, timeout_seconds=None)
            return dvc(arguments, untimed, self.root, self.processes, log, _RESTORE_ONLY)

    def _restore(self, stage: Stage) -> Outcome:
        """Brings `stage` up to date from DVC's run cache, here or on the remote; fails where it would have to run."""
        # Quiet: where it has to run, DVC says that it runs it and that it failed.
        return self._dvc_at_home(["repro", "--single-item", "--pull", stage.name], stage, lambda line: None)

    def _share(self, stage: Stage, outcome: Outcome, log: Callable[[str], None]) -> Outcome:
        """Sends what is up to date here to the remote, if a stage that may run away needs it."""
        needed = any(stage.name in other.needs and not self._stays(other) for other in self.graph.stages.values())
        if outcome.result in ("ran", "cached") and needed:
            pushed = self._dvc_at_home(["push", stage.name], stage, log)
            if pushed.result == "failed":
                return replace(pushed, detail=f"dvc push: {pushed.detail}")
        return outcome

    def _run_away(self, stage: Stage, log: Callable[[str], None], environment: Mapping[str, str]) -> Outcome:
        began = time.monotonic()
        for number in range(1, _TRIES + 1):
            future = self._context.copy().run(self._submit, stage, environment, number)
            log(f"handed to the Ray cluster, task run {future.task_run_id}")
            try:
                return self._wait(future)
            except (ray.exceptions.TaskCancelledError, Stopped):
                return Outcome("stopped", time.monotonic() - began, "ended with its flow")
            except ray.exceptions.RayTaskError as error:
                return Outcome("failed", time.monotonic() - began, str(error.cause or error).splitlines()[-1])
            except ray.exceptions.RayError as error:
                lost = str(error).splitlines()[0].partition(". ")[0]
                if self._stopping:
                    raise Stopped from None
                self._tell(future, Crashed(message=lost))
                log(f"its worker is gone ({lost}){'; running it elsewhere' if number < _TRIES else ''}")
            finally:
                with self._lock:
                    self._running.remove(future)
        return Outcome("failed", time.monotonic() - began, f"{_TRIES} workers died with it")

    def _submit(self, stage: Stage, environment: Mapping[str, str], number: int) -> PrefectRayFuture[Any]:
        again = "" if number == 1 else f", try {number}"
        resources = {WORKER: 0.001}
        parameters = {
            "stage": stage,
            "snapshot": self._snapshot,
            "locks": self._locks(stage),
            "environment": {**environment, **_tracking()},
        }
        # A worker that dies is our business: Ray would run the very same task run of Prefect's again.
        with self._lock:
            if self._stopping:
                raise Stopped
            with remote_options(
                num_cpus=min(stage.cpus, self._largest), num_gpus=stage.gpus, resources=resources, max_retries=0
            ):
                future: PrefectRayFuture[Any] = self._runner.submit(
                    run_on_worker.with_options(
                        name=f"{stage.group} on a worker", task_run_name=f"{stage.name}, away{again}"
                    ),
                    parameters,
                )
            self._running.append(future)
        return future

    def _wait(self, future: PrefectRayFuture[Any]) -> Outcome:
        """The outcome of the stage; raises what Ray does if its worker is lost."""
        ref = future.wrapped_future
        someone = time.monotonic()
        while not ray.wait([ref], timeout=_LOOK_SECONDS)[0]:
            if _workers():
                someone = time.monotonic()
            elif time.monotonic() - someone > _PATIENCE_SECONDS:
                ray.cancel(ref, force=True)
                return Outcome("failed", 0.0, "no worker is left in the Ray cluster")
        state = ray.get(ref)
        if not state.is_completed():
            return Outcome("failed", 0.0, state.message or state.name)
        outcome: Outcome = future.result()
        return outcome

    def _tell(self, future: PrefectRayFuture[Any], state: State[Any]) -> None:
        """Tells Prefect what a killed worker can not. That a server is away is no reason to stop."""
        with contextlib.suppress(Exception), get_client(sync_client=True) as client:
            client.set_task_run_state(future.task_run_id, state, force=True)

    def _locks(self, stage: Stage) -> dict[str, str | None]:
        """The dvc.lock files. A stage that runs here meanwhile may be writing one: then it is read again."""
        files = {_lock_file(name) for name in self.graph.stages}
        expected = {need.rpartition(":")[2] for need in stage.needs if not need.endswith(".dvc")}
        for _ in range(50):
            with self._dvc:
                texts = {name: file.read_text() if (file := self.root / name).is_file() else None for name in files}
            entries: set[str] = set()
            with contextlib.suppress(yaml.YAMLError, AttributeError, TypeError):
                for text in filter(None, texts.values()):
                    entries |= yaml.safe_load(text)["stages"].keys()
                if expected <= entries:
                    break
            time.sleep(0.1)
        return texts


@task(cache_policy=NO_CACHE, persist_result=False)
def run_on_worker(
    stage: Stage, snapshot: Snapshot, locks: dict[str, str | None], environment: dict[str, str]
) -> Outcome:
    """One stage on a worker, from its inputs on the remote to its result there."""
    began, here = time.monotonic(), socket.gethostname()
    log = get_run_logger().info
    log(f"on {here}")
    with workspace.checked_out(snapshot, locks, Path(os.environ[WORKSPACE])) as clone:
        processes = StageProcesses(held=[clone.lock])
        with _ends_with_raylet(processes):
            outcome = _in_clone(stage, clone.root, processes, log, environment)
    detail = ", ".join(filter(None, [outcome.detail, f"on {here}"]))
    return replace(outcome, seconds=time.monotonic() - began, detail=detail)


def _in_clone(
    stage: Stage,
    root: Path,
    processes: StageProcesses,
    log: Callable[[str], None],
    environment: Mapping[str, str],
) -> Outcome:
    # The code that runs is the flow's, not that of the clone in which this worker was started.
    path = os.pathsep.join([str(root / "src"), str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    variables = {**environment, "PYTHONPATH": path}
    untimed = replace(stage, timeout_seconds=None)
    if stage.needs:
        pulled = dvc(["pull", "--force", *stage.needs], untimed, root, processes, log, variables)
        if pulled.result == "failed":
            return replace(pulled, detail=f"dvc pull: {pulled.detail}")
    outcome = repro(stage, root, processes, log, variables)
    if outcome.result in ("ran", "cached"):
        pushed = dvc(["push", "--run-cache", stage.name], untimed, root, processes, log, variables)
        if pushed.result == "failed":
            return replace(pushed, detail=f"dvc push: {pushed.detail}")
    # Home has what is not in MLflow yet, and sends it.
    shutil.rmtree(root / UNSENT, ignore_errors=True)
    return outcome


@contextlib.contextmanager
def _ends_with_raylet(processes: StageProcesses) -> Iterator[None]:
    """Ends the stage with this block; and us, when Ray's daemon on this machine is gone.

    Ray then has given us up and runs the stage elsewhere. Its own workers notice only when their task is done.
    """
    raylet, done = os.getppid(), threading.Event()

    def watch() -> None:
        while not done.wait(1):
            if os.getppid() != raylet:
                processes.end_all()
                os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        done.set()
        processes.end_all()


def reachable_remote(root: Path) -> str:
    """The name of DVC's default remote, once it has answered."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    right = "dvc remote add --default NAME URL, and commit .dvc/config"
    with Repo(os.fspath(root)) as repo:
        name: str | None = repo.config["core"].get("remote")
        if name is None:
            raise UserError(".dvc/config", "engine ray needs a default remote, by which data and results travel", right)
        try:
            remote = repo.cloud.get_remote_odb(name)
            remote.fs.exists(remote.path)
        except (DvcException, OSError, ImportError) as error:
            what = f"DVC's remote '{name}' can not be reached ({' '.join(str(error).split())})"
            raise UserError(".dvc/config", what, "'dvc push' shows the whole message") from error
    return name


def _workers() -> list[dict[str, Any]]:
    """Living machines that joined by `python -m pipelines worker`."""
    return [node for node in ray.nodes() if node["Alive"] and WORKER in node["Resources"]]


def _check_reachable(nodes: list[dict[str, Any]]) -> None:
    """A UserError where workers on other machines are told of a Prefect server that only this one can see."""
    api = get_current_settings().api.url or ""
    host = urlsplit(api).hostname or ""
    with contextlib.suppress(ValueError):
        host = "localhost" if ipaddress.ip_address(host).is_loopback else host
    home = ray.util.get_node_ip_address()
    others = sorted({node["NodeManagerAddress"] for node in nodes} - {home})
    if others and host == "localhost":
        what = f"{api} is this machine alone, workers run on {', '.join(others)}"
        raise UserError(
            "PREFECT_API_URL", what, "start the server with --host, and set this to an address they can reach"
        )


def _tracking() -> dict[str, str]:
    """The tracking server, if it is one that other machines may see; else `quintet sync` brings the runs in at home."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    return {"MLFLOW_TRACKING_URI": uri} if uri.startswith("http") else {}


def _lock_file(stage: str) -> str:
    """The lock file that has the entry of a stage: 'dvc.lock' of 'train@a', 'sub/dvc.lock' of 'sub/dvc.yaml:train'."""
    file = stage.rpartition(":")[0] or "dvc.yaml"
    return Path(file).with_suffix(".lock").as_posix()
