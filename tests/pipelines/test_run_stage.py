"""One stage as one family of processes. These start real `dvc repro` in a scratch repository."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from pipelines import guard
from pipelines.run_stage import Outcome, StageProcesses, Stopped, outcome, repro, run_command, run_incomplete
from quintet.graph.stages import Stage

Edit = Callable[[str, str, str], None]


def stage(name: str, repository: Path, **more: object) -> Stage:
    return Stage(name, (), "", repository, (), **more)  # type: ignore[arg-type]


def runs(repository: Path) -> list[str]:
    file = repository / "started"
    return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []


def workers(repository: Path) -> list[psutil.Process]:
    """Processes at work in the repository, such as a stage and what it started."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(repository) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_until(true: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


@pytest.fixture
def prepared(repository: Path) -> Path:
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q", "prepare"], cwd=repository, check=True)
    return repository


def test_tells_ran_from_unchanged_from_restored(prepared: Path, edit: Edit) -> None:
    log: list[str] = []

    def go() -> Outcome:
        return repro(stage("train@a", prepared), prepared, StageProcesses(), log.append, {"OMP_NUM_THREADS": "7"})

    first = go()
    assert (first.result, first.detail) == ("ran", "")
    assert "step train@a without nothing" in log
    assert "train@a 7" in (prepared / "started").read_text()
    assert not any("git add" in line or "dvc push" in line for line in log)
    again = go()
    assert (again.result, again.detail) == ("cached", "unchanged")
    (prepared / "out" / "a.txt").unlink()
    back = go()
    assert (back.result, back.detail) == ("cached", "restored from DVC's cache")
    assert runs(prepared) == ["prepare", "train@a"]


def test_a_failure_says_what_the_command_said_last(prepared: Path, edit: Edit) -> None:
    edit("params.yaml", "a: {seconds: 0, status: 0", "a: {seconds: 0, status: 1")
    ended = repro(stage("train@a", prepared), prepared, StageProcesses(), lambda line: None, {})
    assert (ended.result, ended.detail, ended.transient) == ("failed", "exit status 1: it was told to fail", False)


RUNNING, RESTORED = "Running stage 'a':", "Stage 'a' is cached - skipping run, checking out outputs"
LOCKED = "Unable to acquire lock. Most likely another DVC process is running"
COMMAND = "ERROR: failed to reproduce 'a': failed to run: x, y, exited with 3"


@pytest.mark.parametrize(
    ("status", "lines", "expected"),
    [
        (0, [RUNNING, "> true"], ("ran", "", False)),
        (0, ["Stage 'a' didn't change, skipping"], ("cached", "unchanged", False)),
        (0, [RESTORED], ("cached", "restored from DVC's cache", False)),
        # A stage that prints DVC's words did run.
        (0, [RUNNING, RESTORED], ("ran", "", False)),
        (255, [f"ERROR: {LOCKED}"], ("failed", LOCKED, True)),
        (255, [RUNNING, "boom", COMMAND], ("failed", "exit status 3: boom", False)),
        (255, ["ERROR: 'dvc.yaml' is invalid."], ("failed", "'dvc.yaml' is invalid.", False)),
        (137, [RUNNING, "half a line"], ("failed", "exit status 137: half a line", False)),
    ],
)
def test_reads_dvc_words(status: int, lines: list[str], expected: tuple[str, str, bool]) -> None:
    read = outcome(status, lines, 1.0, stage("a", Path()), stopping=False)
    assert (read.result, read.detail, read.transient) == expected


def test_ends_at_its_timeout_with_all_it_started(prepared: Path, edit: Edit) -> None:
    edit("params.yaml", "a: {seconds: 0", "a: {seconds: 60")
    processes = StageProcesses(grace_seconds=2)
    ended = repro(stage("train@a", prepared, timeout_seconds=2.0), prepared, processes, lambda line: None, {})
    assert (ended.result, ended.detail) == ("failed", "ended at its timeout of 2.0 s")
    assert workers(prepared) == []
    assert "train@a" not in (prepared / "dvc.lock").read_text()


def test_ending_all_leaves_no_process_and_lets_none_start(prepared: Path, edit: Edit) -> None:
    edit("params.yaml", "a: {seconds: 0", "a: {seconds: 60")
    processes, ended = StageProcesses(grace_seconds=2), list[Outcome]()
    thread = threading.Thread(
        target=lambda: ended.append(repro(stage("train@a", prepared), prepared, processes, lambda line: None, {}))
    )
    thread.start()
    wait_until(lambda: "train@a" in runs(prepared))
    wait_until(lambda: len(workers(prepared)) >= 4)  # the guard, dvc, the step, its worker
    processes.end_all()
    assert workers(prepared) == []
    thread.join(10)
    assert ended[0].result == "stopped"
    assert "train@a" not in (prepared / "dvc.lock").read_text()
    with pytest.raises(Stopped):
        repro(stage("train@b", prepared), prepared, processes, lambda line: None, {})


def test_a_stage_that_ignores_term_is_killed_after_the_grace(tmp_path: Path) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    processes = StageProcesses(grace_seconds=1)
    process = processes.start([sys.executable, "-c", code], tmp_path, {})
    assert process.stdout is not None
    with process.stdout as output:
        assert output.readline() == b"deaf\n"
        began = time.monotonic()
        processes.end(process)
    assert 1 <= time.monotonic() - began < 5
    assert workers(tmp_path) == []


def test_measures_the_peak_memory_of_a_command(tmp_path: Path) -> None:
    big = Stage("big", (), f'{sys.executable} -c "x = bytearray(300_000_000)"', tmp_path, ())
    ended = run_command(big, StageProcesses(), lambda line: None, {})
    assert ended.memory_mb is not None
    assert 300 < ended.memory_mb < 400


def test_a_background_process_does_not_outlive_its_stage(tmp_path: Path) -> None:
    processes = StageProcesses(grace_seconds=1)
    began = time.monotonic()
    process = processes.start(["sh", "-c", "sleep 60 & setsid sleep 60 & echo done"], tmp_path, {})
    assert process.stdout is not None
    with process.stdout as output:
        assert output.read() == b"done\n"
    processes.end(process)
    assert process.returncode == 0
    assert time.monotonic() - began < 30
    assert workers(tmp_path) == []


# What a flow does, in a process that can be killed: it starts a stage and waits.
HOLDER = """\
import sys, time
from pathlib import Path
from pipelines.run_stage import StageProcesses
process = StageProcesses(grace_seconds=2).start(sys.argv[1:], Path("."), {})
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_flow_that_is_killed_leaves_no_process_of_its_stage(number: int, tmp_path: Path) -> None:
    below = "setsid sleep 600 & sleep 600 & touch started; sleep 600"
    flow = subprocess.Popen(
        [sys.executable, "-c", HOLDER, "sh", "-c", below],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(guard.__file__).parents[1])},
    )
    wait_until(lambda: (tmp_path / "started").exists())
    wait_until(lambda: len(workers(tmp_path)) == 6)  # flow, guard, shell, three that sleep
    flow.send_signal(number)
    flow.wait()
    wait_until(lambda: workers(tmp_path) == [], seconds=10)


def test_a_guard_killed_with_9_is_noticed_and_its_stage_ended(tmp_path: Path) -> None:
    processes = StageProcesses(grace_seconds=1)
    process = processes.start(["sh", "-c", "echo up; sleep 60; true"], tmp_path, {})
    assert process.stdout is not None
    with process.stdout as output:
        assert output.readline() == b"up\n"
        process.kill()
        process.wait()
        assert workers(tmp_path) != []
        processes.end(process)
    assert workers(tmp_path) == []


def test_a_stage_that_prints_a_lot_is_passed_on_whole(tmp_path: Path) -> None:
    lines: list[str] = []
    code = "for i in range(50_000): print('line', i)"
    talker = Stage("talk", (), f'{sys.executable} -c "{code}"', tmp_path, ())
    ended = run_incomplete(talker, tmp_path, StageProcesses(), lines.append, {}, ["train@a"])
    assert ended.result == "ran"
    assert lines[1:] == [f"line {i}" for i in range(50_000)]


def test_an_incomplete_report_is_told_what_lacks_and_never_recorded(prepared: Path) -> None:
    report = prepared / "report.txt"
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], cwd=prepared, check=True)
    before, lock = report.read_text(), (prepared / "dvc.lock").read_text()
    lines: list[str] = []
    ended = run_incomplete(
        Stage("report", (), "python step.py report raw.txt report.txt", prepared, (report,)),
        prepared, StageProcesses(), lines.append, {}, ["train@a", "train@b"],
    )  # fmt: skip
    assert (ended.result, ended.detail) == ("ran", "incomplete, without train@a, train@b")
    assert "step report without train@a,train@b" in lines
    assert report.read_text() != before
    assert (prepared / "dvc.lock").read_text() == lock
    back = repro(stage("report", prepared), prepared, StageProcesses(), lambda line: None, {})
    assert back.result == "cached"
    assert report.read_text() == before


def test_term_comes_once_although_the_command_ends_before_what_it_started(tmp_path: Path) -> None:
    slow = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, lambda number, frame: open('terms', 'a').write('x'))\n"
        "print('up', flush=True); time.sleep(1); signal.sigtimedwait([], 2)\n"
    )
    (tmp_path / "slow.py").write_text(slow)
    processes = StageProcesses(grace_seconds=5)
    process = processes.start(["sh", "-c", f"{sys.executable} slow.py & sleep 60"], tmp_path, {})
    assert process.stdout is not None
    with process.stdout as output:
        assert output.readline() == b"up\n"
        processes.end(process)
    assert (tmp_path / "terms").read_text() == "x"
