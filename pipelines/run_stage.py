"""One DVC stage as one family of processes: run it, pass its output on line by line, end it whole.

`dvc repro --single-item` because two plain `dvc repro` that share an upstream stage collide on its
outputs, and `--wait-for-lock` because DVC otherwise gives up on its repository lock after three
seconds, which can fail a training that is already finished. Never `Repo.reproduce` in a thread: DVC's
own locks cannot tell two threads of one process apart.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines import guard
from pipelines.schedule import Result
from quintet.graph.duration import say_duration
from quintet.graph.stages import Stage

GRACE_SECONDS = 20.0

_LOCKED = "Unable to acquire lock"
_DVC = ("Running ", "Stage ", "ERROR: ")
_COMMAND_FAILED = re.compile(r"failed to run: .*, exited with (-?\d+)$")
_RUNNING = re.compile(r"Running (stage|callback) '.*':$")
_RESTORED = re.compile(r"Stage '.*' is cached - skipping run, checking out outputs$")
# What DVC says after every stage about `git add` and `dvc push`; in a log per stage it drowns the rest.
_ADVICE = re.compile(
    r"(To track the changes with git, run:|To enable auto staging, run:|\tgit add .*|\tdvc config core\.autostage true"
    r"|Use `dvc push` to send your updates to remote storage\.|)$"
)


@dataclass(frozen=True)
class Outcome:
    """How a stage ended. `detail` says why in words: what it was restored from, or how it failed."""

    result: Result
    seconds: float
    detail: str
    # The failure may pass by itself: DVC could not get its lock. Whatever else fails would fail again.
    transient: bool = False
    # Of the largest of its processes, in 10^6 bytes; None where nothing was started.
    memory_mb: float | None = None


class Stopped(Exception):
    """The flow is ending: no stage starts any more."""


class StageProcesses:
    """The stage processes of one flow. Safe to use from several threads.

    Holding one is what keeps its stages alive: each hangs on a pipe whose other end is here. A guard keeps
    the file descriptors `held` open until its stage is gone: whoever kills us, a lock behind one stays taken.
    """

    def __init__(self, grace_seconds: float = GRACE_SECONDS, held: Sequence[int] = ()) -> None:
        self.grace_seconds, self.held = grace_seconds, held
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._reports: dict[subprocess.Popen[bytes], int] = {}
        self._stopping = False

    @property
    def stopping(self) -> bool:
        return self._stopping

    def start(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Starts `command` under a guard, its output and errors in one pipe."""
        with self._lock:
            if self._stopping:
                raise Stopped
            report, theirs = os.pipe()
            try:
                process = subprocess.Popen(
                    [sys.executable, "-P", guard.__file__, str(self.grace_seconds), str(theirs), *command],
                    cwd=folder,
                    env={**os.environ, **environment},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=[theirs, *self.held],
                )
            except BaseException:
                os.close(report)
                raise
            finally:
                os.close(theirs)
            self._running.add(process)
            self._reports[process] = report
            return process

    def memory_mb(self, process: subprocess.Popen[bytes]) -> float | None:
        """Peak memory of the largest process below `process`, which is done; None where it was ended instead."""
        with self._lock:
            report = self._reports.get(process)
            said = b"" if report is None else os.read(report, 32)
        return int(said) / 1e6 if said else None

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Ends `process` and all it started, and returns when they are gone. Does nothing to one that is done."""
        self._let_go(process)
        try:
            process.wait(self.grace_seconds + 5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.returncode < 0:
            # The guard itself was killed, so nobody has ended what it guarded.
            guard.end_family(process.pid, self.grace_seconds)
        with self._lock:
            self._running.discard(process)
            report = self._reports.pop(process, None)
        if report is not None:
            os.close(report)

    def end_all(self) -> None:
        """Ends every running stage, all at once, and lets none start after."""
        with self._lock:
            self._stopping = True
            running = list(self._running)
        for process in running:
            self._let_go(process)
        for process in running:
            self.end(process)

    @staticmethod
    def _let_go(process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        process.stdin.close()


def repro(
    stage: Stage,
    root: Path,
    processes: StageProcesses,
    log: Callable[[str], None],
    environment: Mapping[str, str],
    force: bool = False,
) -> Outcome:
    """Runs or restores `stage` by `dvc repro --single-item`; its upstream stages must be done."""
    arguments = ["repro", "--single-item", stage.name, *(["--force"] if force else [])]
    return dvc(arguments, stage, root, processes, log, environment)


def dvc(
    arguments: Sequence[str],
    stage: Stage,
    root: Path,
    processes: StageProcesses,
    log: Callable[[str], None],
    environment: Mapping[str, str],
) -> Outcome:
    """One DVC command on behalf of `stage`, which waits for DVC's repository lock."""
    started = time.monotonic()
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments]
    status, lines, memory_mb = _supervise(command, root, stage, processes, log, environment)
    ended = outcome(status, lines, time.monotonic() - started, stage, processes.stopping)
    return replace(ended, memory_mb=memory_mb)


def run_incomplete(
    stage: Stage,
    root: Path,
    processes: StageProcesses,
    log: Callable[[str], None],
    environment: Mapping[str, str],
    missing: Sequence[str],
) -> Outcome:
    """Runs the command of an `always` stage although the stages `missing` were not made.

    Past DVC on purpose: with inputs lacking DVC would refuse, and were they merely old it would record
    a result with gaps as the finished one. So the next `dvc repro` still finds the stage stale. The
    command reads the names of the missing stages, comma-separated, from QUINTET_MISSING_STAGES.
    """
    for out in stage.outs:
        # As DVC does before a run: outputs may be links into its cache, never to be written through.
        if out.is_dir() and not out.is_symlink():
            shutil.rmtree(out)
        else:
            out.unlink(missing_ok=True)
    log(f"incomplete, without {', '.join(missing)}: {stage.command}")
    own = {"DVC_STAGE": stage.name, "DVC_ROOT": os.fspath(root), "QUINTET_MISSING_STAGES": ",".join(missing)}
    ended = run_command(stage, processes, log, {**environment, **own})
    return replace(ended, detail=f"incomplete, without {', '.join(missing)}") if ended.result == "ran" else ended


def run_command(
    stage: Stage, processes: StageProcesses, log: Callable[[str], None], environment: Mapping[str, str]
) -> Outcome:
    """Runs the command of `stage` without asking DVC."""
    started = time.monotonic()
    command = ["sh", "-c", stage.command]
    status, lines, memory_mb = _supervise(command, stage.folder, stage, processes, log, environment)
    seconds = time.monotonic() - started
    if status == 0:
        return Outcome("ran", seconds, "", memory_mb=memory_mb)
    return replace(outcome(status, lines, seconds, stage, processes.stopping), memory_mb=memory_mb)


def outcome(status: int, lines: Sequence[str], seconds: float, stage: Stage, stopping: bool) -> Outcome:
    """What an exit status and DVC's own lines mean."""
    if status == 0:
        if any(_RUNNING.match(line) for line in lines):
            return Outcome("ran", seconds, "")
        restored = any(_RESTORED.match(line) for line in lines)
        return Outcome("cached", seconds, "restored from DVC's cache" if restored else "unchanged")
    if stopping:
        return Outcome("stopped", seconds, "ended with its flow")
    if stage.timeout_seconds is not None and seconds >= stage.timeout_seconds:
        return Outcome("failed", seconds, f"ended at its timeout of {say_duration(stage.timeout_seconds)}")
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    command_failed = _COMMAND_FAILED.search(errors[-1]) if errors else None
    if errors and command_failed is None:
        return Outcome("failed", seconds, errors[-1], transient=any(_LOCKED in error for error in errors))
    # A command's last words tell more than its status.
    words = next((f": {line}" for line in reversed(lines) if not line.startswith(_DVC)), "")
    return Outcome("failed", seconds, f"exit status {command_failed[1] if command_failed else status}{words}")


def _supervise(
    command: Sequence[str],
    folder: Path,
    stage: Stage,
    processes: StageProcesses,
    log: Callable[[str], None],
    environment: Mapping[str, str],
) -> tuple[int, list[str], float | None]:
    """Runs `command` to its end; its exit status, the lines that can be DVC's own and the last before each of them,
    its peak memory."""
    # Stages say `python`: theirs is ours, whether or not the environment is activated.
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
    process = processes.start(command, folder, {"PYTHONUNBUFFERED": "1", "PATH": path, **environment})
    timer = threading.Timer(stage.timeout_seconds or 0, processes.end, [process])
    lines: list[str] = []
    try:
        if stage.timeout_seconds is not None:
            timer.start()
        assert process.stdout is not None
        with process.stdout as output:
            for raw in output:
                line = raw.decode(errors="replace").rstrip()
                if not _ADVICE.match(line):
                    log(line)
                    if lines and not lines[-1].startswith(_DVC) and not line.startswith(_DVC):
                        lines.pop()  # of the many lines of a command only the last can matter here: what it died with
                    lines.append(line)
        return process.wait(), lines, processes.memory_mb(process)
    finally:
        timer.cancel()
        processes.end(process)
