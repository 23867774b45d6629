"""`engine: ray` on a cluster of two workers on this machine, each with its own clones, and a folder as DVC's remote."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipelines.guard import family
from pipelines.servers import free_port
from quintet.errors import UserError

pytest.importorskip("ray", reason="the extra 'ray' is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CODE = Path(__file__).parents[2]
Edit = Callable[[str, str, str], None]


@dataclass
class Cluster:
    """A head without a workspace, and workers with one each."""

    address: str
    environment: dict[str, str]
    folder: Path
    workers: dict[str, subprocess.Popen[bytes]]

    def start_worker(self, name: str) -> None:
        options = ["--workspace", str(self.folder / name), "--cpus", "1", "--gpus", "0"]
        self.workers[name] = self.start(name, "pipelines", "worker", self.address, *options)

    def start(self, name: str, *module: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *module],
                env=self.environment, cwd=self.folder, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def wait(self, *names: str) -> None:
        """Until Ray says that these are up."""
        deadline = time.monotonic() + 120
        for name in names:
            while "Ray runtime started" not in (said := (self.folder / f"{name}.log").read_text()):
                assert time.monotonic() < deadline, said
                time.sleep(0.2)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """As when a machine loses power: none of its processes may do anything more."""
    for victim in [psutil.Process(process.pid), *family(process.pid)]:
        victim.kill()
    process.wait()


@pytest.fixture(scope="module")
def cluster(server: Any) -> Iterator[Cluster]:
    # Not below pytest's folder: the path of a socket has a hundred characters.
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    port = free_port()
    own = {"RAY_ADDRESS": f"127.0.0.1:{port}", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
    environment = {**server.environment, **own, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(CODE)}
    started = Cluster(own["RAY_ADDRESS"], environment, folder, {})
    options = ["--port", str(port), "--num-cpus", "0", "--num-gpus", "0", "--object-store-memory", "100000000"]
    options += ["--temp-dir", str(folder / "tmp"), "--include-dashboard", "false", "--disable-usage-stats"]
    head = started.start("head", "ray.scripts.scripts", "start", "--head", "--block", *options)
    try:
        started.wait("head")
        # One after the other: on one machine, two at once can miss each other's ports.
        for name in ("one", "two"):
            started.start_worker(name)
            started.wait(name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(server, "environment", environment)
            yield started
    finally:
        for running in [*started.workers.values(), head]:
            if running.poll() is None:
                _kill(running)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def shared(repository: Path, tmp_path: Path) -> Path:
    """The repository under git, with a remote."""
    shutil.rmtree(repository / ".dvc")
    (repository / ".gitignore").write_text("/.prefect/\n/started\n/data.txt\n/out/\n/report.txt\n")
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (
        ["git", "init", "--quiet"],
        [sys.executable, "-m", "dvc", "init", "--quiet"],
        [sys.executable, "-m", "dvc", "remote", "add", "--quiet", "--default", "shared", str(tmp_path / "remote")],
        ["git", "add", "--all"],
        [*git, "commit", "--quiet", "-m", "first"],
    ):
        subprocess.run(command, cwd=repository, check=True)
    return repository


def runs(folder: Path) -> list[str]:
    """The stages that ran in clones below `folder`."""
    return sorted(line.split()[0] for file in folder.rglob("started") for line in file.read_text().splitlines())


def wait_until(true: Callable[[], object], seconds: float = 150.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.1)


def steps(cluster: Cluster) -> list[psutil.Process]:
    """Processes of train@a on its workers. Tests that run beside this one have some by the same name."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            ended = process.status() == psutil.STATUS_ZOMBIE
            if {"step.py", "train@a"} <= set(process.cmdline()) and not ended:
                found += [process] if Path(process.cwd()).is_relative_to(cluster.folder) else []
    return found


def test_stages_run_in_clones_elsewhere_and_their_results_come_home(
    shared: Path, edit: Edit, cluster: Cluster, server: Any
) -> None:
    # Neither is committed.
    edit("params.yaml", "a: {seconds: 0", "a: {seconds: 0.1")
    (shared / "raw.txt").write_text("edited\n")
    ended = server.flow(shared, "--engine", "ray")
    assert ended.status == 0, ended.said
    states = ended.states()
    # The report is made at home: it has to be there whatever fails.
    assert runs(cluster.folder) == ["prepare", "train@a", "train@b"]
    assert (shared / "started").read_text().split()[0] == "report"
    assert (shared / "report.txt").read_text() == "edited\nprepare\ntrain@a\nedited\nprepare\ntrain@b\nreport\n"
    assert {name: states[name] for name in ("prepare", "train@a", "train@b", "report")} == dict.fromkeys(
        ("prepare", "train@a", "train@b", "report"), "Ran"
    )
    assert states["train@a, away"] == "Completed"
    status = [sys.executable, "-m", "dvc", "status"]
    said = subprocess.run(status, cwd=shared, check=True, capture_output=True, text=True).stdout
    assert said == "Data and pipelines are up to date.\n"

    # A clone that has nothing but what the remote has.
    for gone in ("dvc.lock", "data.txt", "out", ".dvc/cache"):
        path = shared / gone
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    again = server.flow(shared, "--engine", "ray", "--stages", "train")
    assert again.status == 0, again.said
    assert runs(cluster.folder) == ["prepare", "train@a", "train@b"]
    assert (shared / "out" / "a.txt").read_text() == "edited\nprepare\ntrain@a\n"


def test_what_can_not_be_is_said_before_anything_runs(shared: Path, edit: Edit, cluster: Cluster, server: Any) -> None:
    forced = server.flow(shared, "--engine", "ray", "--force", "--stages", "prepare")
    assert forced.message.startswith("force: prepare would run elsewhere")
    edit("dvc.yaml", "gpus: 0", "gpus: 2")
    ended = server.flow(shared, "--engine", "ray")
    assert ended.status == 1
    assert ended.message.startswith("dvc.yaml: train@a: meta.gpus: 2 asked for, the largest worker has 0")
    assert not (shared / "data.txt").exists()


def test_a_worker_that_dies_has_its_stage_run_elsewhere(
    shared: Path, edit: Edit, cluster: Cluster, server: Any
) -> None:
    edit("params.yaml", "a: {seconds: 0", "a: {seconds: 8")
    with server.start_flow(shared, "--engine", "ray", "--stages", "train@a") as flow:
        wait_until(lambda: steps(cluster))
        (victim,) = [name for name in ("one", "two") if steps(cluster)[0].cwd().startswith(str(cluster.folder / name))]
        _kill(cluster.workers[victim])
        _, err = flow.communicate(timeout=120)
    assert flow.returncode == 0, err
    assert "its worker is gone" in err
    (survivor,) = {"one", "two"} - {victim}
    assert "train@a" in runs(cluster.folder / survivor)
    assert (shared / "out" / "a.txt").read_text() == "raw\nprepare\ntrain@a\n"


def test_cancelling_ends_what_runs_elsewhere(shared: Path, edit: Edit, cluster: Cluster, server: Any) -> None:
    edit("params.yaml", "a: {seconds: 0", "a: {seconds: 60")
    with server.start_flow(shared, "--engine", "ray", "--stages", "train@a") as flow:
        wait_until(lambda: steps(cluster))
        flow.send_signal(signal.SIGTERM)
        assert flow.wait(30) == 130
        wait_until(lambda: not steps(cluster), seconds=25)
        flow.communicate()
    assert "train@a" not in (shared / "dvc.lock").read_text()


def test_a_remote_that_lacks_or_does_not_answer_is_said(shared: Path) -> None:
    from pipelines.ray_engine import reachable_remote

    assert reachable_remote(shared) == "shared"
    config = shared / ".dvc" / "config"
    config.write_text("[core]\n    remote = away\n['remote \"away\"']\n    url = ssh://127.0.0.1:1/nowhere\n")
    with pytest.raises(UserError, match="DVC's remote 'away' can not be reached"):
        reachable_remote(shared)
    config.write_text("")
    with pytest.raises(UserError, match="needs a default remote"):
        reachable_remote(shared)
