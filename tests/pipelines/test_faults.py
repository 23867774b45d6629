"""Whatever is killed with -9 while a training runs: nothing is lost, and nothing is counted twice."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of MLflow's own classes, at its import
    import mlflow.pyfunc  # noqa: F401

from pipelines.servers import Server as Started
from pipelines.servers import free_port, mlflow_ui, prefect_server
from quintet.tracking.store import Store
from tests.pipelines.conftest import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STEPS, CHECKPOINT_EVERY = 120, 10

# What Quintet's own training stage does, without a network: a journal that MLflow follows, a checkpoint now and then,
# outputs when all is done.
TRAIN_PY = f"""\
import os, shutil, signal, sys, time
from pathlib import Path
from quintet.tracking.journal import Journal
from quintet.tracking.projector import Projector

signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
scratch = Path(".scratch/toy")
journal = Journal(scratch / "journal.jsonl")
checkpoint = scratch / "checkpoint"
done = int(checkpoint.read_text()) if checkpoint.exists() else 0
journal.start("toy", experiment="toy", tags={{"dvc.stage": os.environ["DVC_STAGE"]}})
projector = Projector(journal, every=0.1, system_every=None)
# On a busy machine all steps could be done before MLflow is imported, and there would be nothing to interrupt.
while projector.run_id is None:
    time.sleep(0.1)
status = "KILLED"
try:
    for step in range(done + 1, {STEPS} + 1):
        journal.metrics(step, {{"loss": 1 / step}})
        if step % {CHECKPOINT_EVERY} == 0:
            (scratch / "new").write_text(str(step))
            os.replace(scratch / "new", checkpoint)
        time.sleep(0.1)
    status = "FINISHED"
finally:
    journal.end(status)
    projector.close()
    journal.close()
shutil.move(scratch, "outputs")
"""

DVC_YAML = """\
stages:
  train:
    cmd: python train.py
    deps: [train.py]
    outs: [outputs]
  report:
    cmd: cp outputs/checkpoint report.txt
    deps: [outputs]
    outs: [report.txt]
"""


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("empty")
    Store(uri=f"sqlite:///{root}/mlflow.db", root=root).check()
    return root / "mlflow.db"


@pytest.fixture
def toy(repository: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose training takes some twelve seconds and is tracked in its own mlflow.db."""
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)
    (repository / "train.py").write_text(TRAIN_PY)
    (repository / "dvc.yaml").write_text(DVC_YAML)
    shutil.copy(empty_database, repository / "mlflow.db")
    return repository


def wait_until(true: Callable[[], object], seconds: float = 60.0) -> float:
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "it did not come about in time"
        time.sleep(0.05)
    return time.monotonic() - began


def processes_in(root: Path, of: str = "") -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            here = process.cwd() == str(root) and process.status() != psutil.STATUS_ZOMBIE
            if here and of in " ".join(process.cmdline()):
                found.append(process)
    return found


def journal(root: Path) -> bytes:
    file = root / ".scratch/toy/journal.jsonl"
    return file.read_bytes() if file.exists() else b""


def wait_for_checkpoint(root: Path) -> bytes:
    """What the journal holds once the training can go on from a checkpoint."""
    wait_until((root / ".scratch/toy/checkpoint").exists, seconds=200)
    return journal(root)


def sync(root: Path, uri: str | None = None) -> None:
    code = (
        "import sys; from pathlib import Path; from quintet.tracking.sync import sync\n"
        "summary = sync([Path('outputs'), Path('.scratch')]); assert not summary.failed, summary.failed"
    )
    environment = {**os.environ, **({"MLFLOW_TRACKING_URI": uri} if uri else {})}
    subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, check=True)


def statuses(root: Path) -> list[str]:
    """The states of the runs that the store holds."""
    client = Store(f"sqlite:///{root}/mlflow.db", root).client
    experiment = client.get_experiment_by_name("toy")
    return [] if experiment is None else [run.info.status for run in client.search_runs([experiment.experiment_id])]


def nothing_lost_or_doubled(root: Path, before: bytes) -> None:
    """One run, finished, each step once; of what the journal held before no byte is missing."""
    kept = (root / "outputs/journal.jsonl").read_bytes()
    assert kept.startswith(before[: before.rfind(b"\n") + 1])
    client = Store(f"sqlite:///{root}/mlflow.db", root).client
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    steps = [metric.step for metric in client.get_metric_history(run.info.run_id, "loss")]
    assert sorted(steps) == list(range(1, STEPS + 1))
    assert (root / "report.txt").read_text() == str(STEPS)
    assert not (root / ".scratch/toy").exists()


def locked(root: Path) -> set[str]:
    file = root / "dvc.lock"
    return set(yaml.safe_load(file.read_text())["stages"]) if file.exists() else set()


def test_the_trainer_killed(toy: Path, server: Server) -> None:
    flow = server.start_flow(toy)
    before = wait_for_checkpoint(toy)
    [trainer] = [p for p in processes_in(toy, "train.py") if p.cmdline()[1:] == ["train.py"]]
    trainer.kill()
    out, _ = flow.communicate()
    assert flow.returncode == 1
    assert "1 failed: train" in out
    assert locked(toy) == set()
    sync(toy)
    assert statuses(toy) == ["KILLED"]
    assert server.flow(toy).states() == {"train": "Ran", "report": "Ran"}
    sync(toy)
    nothing_lost_or_doubled(toy, before)


def test_the_flow_killed(toy: Path, server: Server) -> None:
    flow = server.start_flow(toy)
    before = wait_for_checkpoint(toy)
    flow.kill()
    flow.communicate()
    assert wait_until(lambda: not processes_in(toy)) < 30
    assert locked(toy) == set()
    # The trainer was told to end and wrote so down.
    assert json.loads(journal(toy).splitlines()[-1])["status"] == "KILLED"
    assert statuses(toy) == ["KILLED"]
    assert server.flow(toy).states() == {"train": "Ran", "report": "Ran"}
    nothing_lost_or_doubled(toy, before)


def test_the_flow_cancelled_in_the_ui(toy: Path, server: Server) -> None:
    flow = server.start_flow(toy)
    before = wait_for_checkpoint(toy)
    cancelling = {"state": {"type": "CANCELLING", "name": "Cancelling"}, "force": True}
    server.ask(f"flow_runs/{server.newest_run()['id']}/set_state", cancelling)
    assert wait_until(lambda: not processes_in(toy)) < 30
    out, _ = flow.communicate()
    assert flow.returncode == 130
    assert "stopped: train" in out
    assert server.newest_run()["state_name"] == "Cancelled"
    assert locked(toy) == set()
    assert statuses(toy) == ["KILLED"]
    assert server.flow(toy).states() == {"train": "Ran", "report": "Ran"}
    nothing_lost_or_doubled(toy, before)


@contextlib.contextmanager
def killable(server: Callable[[], contextlib.AbstractContextManager[Started]]) -> Iterator[tuple[str, int, list[int]]]:
    """A server of this test's own: its address and port, and the processes that it consists of."""
    with server() as started:
        address = started.wait()
        everyone = [started.process.pid, *(p.pid for p in psutil.Process(started.process.pid).children(recursive=True))]
        yield address, int(address.rpartition(":")[2]), everyone


def kill(processes: list[int]) -> None:
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_the_mlflow_server_killed(toy: Path, server: Server) -> None:
    with killable(lambda: mlflow_ui(toy)) as (address, port, processes):
        environment = {**server.environment, "MLFLOW_TRACKING_URI": address}
        flow = Server(server.address, environment).start_flow(toy)
        before = wait_for_checkpoint(toy)
        kill(processes)
        out, err = flow.communicate()
    # Training went on to its end, and said once what was wrong.
    assert flow.returncode == 0, out
    assert err.count("can not be written to") == 1
    assert locked(toy) == {"train", "report"}
    wait_until(lambda: free_port(port) == port)
    with mlflow_ui(toy, port) as again:
        assert again.wait() == address
        sync(toy, address)
    nothing_lost_or_doubled(toy, before)


@pytest.mark.parametrize("comes_back", [True, False])
def test_the_prefect_server_killed(toy: Path, server: Server, tmp_path: Path, comes_back: bool) -> None:
    root = tmp_path / "prefect"
    with killable(lambda: prefect_server(root)) as (address, port, processes):
        # Prefect's client tries each request again for a minute, which bridges a restart.
        retries = {} if comes_back else {"PREFECT_CLIENT_MAX_RETRIES": "0"}
        own = Server(address, {**server.environment, "PREFECT_API_URL": f"{address}/api", **retries})
        flow = own.start_flow(toy)
        before = wait_for_checkpoint(toy)
        kill(processes)
    wait_until(lambda: free_port(port) == port)
    if comes_back:
        with prefect_server(root, port) as again:
            assert again.wait() == address
            out, err = flow.communicate()
            assert own.newest_run()["state_name"] == "Completed"
    else:
        out, err = flow.communicate()
        assert "went away and does not know how this run ended" in err
    assert flow.returncode == 0, err
    assert "2 ran: train" in out
    assert locked(toy) == {"train", "report"}
    nothing_lost_or_doubled(toy, before)
