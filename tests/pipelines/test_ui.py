"""`python -m pipelines ui` as a platform engineer uses it: servers, deployments and a worker, from start to kill -9."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipelines.guard import family
from pipelines.servers import answers, ask, server_environment

CODE = Path(__file__).parents[2]
Edit = Callable[[str, str, str], None]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def processes_in(root: Path, of: str = "") -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            here = process.cwd() == str(root) and process.status() != psutil.STATUS_ZOMBIE
            if here and of in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_until(true: Callable[[], object], seconds: float = 120.0) -> float:
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "it did not come about in time"
        time.sleep(0.1)
    return time.monotonic() - began


def runs(root: Path) -> list[str]:
    file = root / "started"
    return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def project(repository: Path) -> Path:
    """A repository with the flow and its deployments in it, as Quintet's own has."""
    shutil.copytree(CODE / "pipelines", repository / "pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CODE / "prefect.yaml", repository)
    return repository


@contextlib.contextmanager
def ui(project: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The servers, once they are up, and their addresses."""
    unset = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", unset)
        environment = {**unset, **server_environment(project), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pipelines", "ui", "--prefect-port", "0", "--mlflow-port", "0", "--watch", "raw"]
    with subprocess.Popen(command, cwd=project, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            said = []
            for line in process.stdout:
                said.append(line)
                if "Ctrl-C" in line:
                    break
            assert "Ctrl-C" in said[-1], said
            file = project / ".prefect" / "servers.json"
            wait_until(file.exists)
            yield process, json.loads(file.read_text())
        finally:
            process.terminate()
            process.wait(60)
    wait_until(lambda: not processes_in(project), seconds=60)


def start(api: str, deployment: str, **parameters: Any) -> str:
    found = ask(f"{api}/deployments/name/quintet/{deployment}")
    run: str = ask(f"{api}/deployments/{found['id']}/create_flow_run", {"parameters": parameters})["id"]
    return run


def state(api: str, run: str) -> str:
    name: str = ask(f"{api}/flow_runs/{run}")["state"]["name"]
    return name


def ended(api: str, run: str) -> str:
    """The state in which `run` ended, with its message where that is not Completed."""
    final: dict[str, str] = {}

    def over() -> bool:
        final.update(ask(f"{api}/flow_runs/{run}")["state"])
        return final["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

    wait_until(over)
    return final["name"] if final["name"] == "Completed" else f"{final['name']}: {final['message']}"


def test_one_command_serves_all_deploys_and_cancels_cleanly(project: Path, edit: Edit) -> None:
    with ui(project) as (_, served):
        api = f"{served['prefect']}/api"
        for name in ("prefect", "mlflow", "report"):
            assert served[name].startswith("http://127.0.0.1:")
            with urllib.request.urlopen(served[name], timeout=20) as page:
                assert page.status == 200
        found = {entry["name"]: entry for entry in ask(f"{api}/deployments/filter", {})}
        assert set(found) == {"on-demand", "nightly", "on-new-data"}
        assert found["nightly"]["schedules"][0]["schedule"]["cron"] == "30 2 * * *"
        assert set(found["on-demand"]["parameter_openapi_schema"]["properties"]) >= {"stages", "slots", "force"}

        run = start(api, "on-demand", stages=["train@a"])
        assert ended(api, run) == "Completed"
        assert runs(project) == ["prepare", "train@a"]

        (project / "raw").mkdir()
        (project / "raw" / "new.png").write_bytes(b"new")
        wait_until(lambda: "report" in runs(project))

        edit("params.yaml", "a: {seconds: 0", "a: {seconds: 200")
        run = start(api, "on-demand", stages=["train@a"])
        wait_until(lambda: runs(project).count("train@a") == 2)
        assert processes_in(project, "prefect.engine")
        ask(f"{api}/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})
        assert wait_until(lambda: not processes_in(project, "step.py") + processes_in(project, "prefect.engine")) < 30
        wait_until(lambda: state(api, run) == "Cancelled")
        edit("params.yaml", "a: {seconds: 200", "a: {seconds: 0")
        run = start(api, "on-demand")
        assert ended(api, run) == "Completed"
        assert runs(project).count("train@a") == 2  # back to what was made before: restored, not run

        for of in ("prefect server start", "mlflow ui"):
            for process in processes_in(project, of):
                process.kill()
        wait_until(lambda: answers(f"{api}/health") and answers(f"{served['mlflow']}/health"))
        assert state(api, run) == "Completed"


@pytest.mark.parametrize("with_its_guard", [False, True])
def test_a_worker_killed_with_9_loses_nothing_and_another_takes_its_place(
    project: Path, edit: Edit, with_its_guard: bool
) -> None:
    edit("params.yaml", "a: {seconds: 0", "a: {seconds: 200")
    with ui(project) as (_, served):
        api = f"{served['prefect']}/api"
        run = start(api, "on-demand", stages=["train@a"])
        wait_until(lambda: "train@a" in runs(project))
        guard, worker = sorted(processes_in(project, "prefect worker start"), key=lambda process: process.pid)
        if with_its_guard:
            guard.kill()
        worker.kill()
        if with_its_guard:
            # Nobody is left who could tell the run: it hears of its cancellation all the same. (Without its worker it
            # ends as Crashed or Cancelled, whichever Prefect's engine notices first.)
            ask(f"{api}/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})
        wait_until(lambda: not processes_in(project, "step.py"), seconds=30)
        assert ended(api, run).startswith(("Crashed: ", "Cancelled: ") if with_its_guard else "Crashed: ")
        assert "train@a" not in (project / "dvc.lock").read_text()

        edit("params.yaml", "a: {seconds: 200", "a: {seconds: 0")
        again = start(api, "on-demand", stages=["train@a"])
        assert ended(api, again) == "Completed"
        assert runs(project) == ["prepare", "train@a", "train@a"]


def test_everything_killed_with_9_blocks_no_later_run(project: Path, edit: Edit) -> None:
    edit("params.yaml", "a: {seconds: 0", "a: {seconds: 200")
    with ui(project) as (_, served):
        api = f"{served['prefect']}/api"
        run = start(api, "on-demand", stages=["train@a"])
        wait_until(lambda: "train@a" in runs(project))
        # As the system does when memory ends: the flow, its worker and their guards all at once.
        for of in ("prefect worker start", "prefect.engine", "step.py"):
            for process in processes_in(project, of):
                process.kill()
        wait_until(lambda: state(api, run) == "Crashed")
        edit("params.yaml", "a: {seconds: 200", "a: {seconds: 0")
        again = start(api, "on-demand", stages=["train@a"])
        assert ended(api, again) == "Completed"


def test_ui_killed_with_9_leaves_no_process(project: Path, edit: Edit) -> None:
    edit("params.yaml", "a: {seconds: 0", "a: {seconds: 200")
    with ui(project) as (process, served):
        start(f"{served['prefect']}/api", "on-demand", stages=["train@a"])
        wait_until(lambda: "train@a" in runs(project))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert wait_until(lambda: not processes_in(project)) < 60
        assert not family(process.pid)
        with pytest.raises(urllib.error.URLError):
            ask(f"{served['prefect']}/api/health")
    assert "train@a" not in (project / "dvc.lock").read_text()
