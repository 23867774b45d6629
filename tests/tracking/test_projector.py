from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quintet.errors import UserError
from quintet.tracking.journal import Journal, read
from quintet.tracking.projector import Projector
from quintet.tracking.store import Store
from quintet.tracking.sync import sync
from tests.tracking.conftest import contents, history


def wait_for(what: object, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_run_shows_in_mlflow_while_it_goes_on(store: Store, journal: Journal) -> None:
    with Projector(journal, store, every=0.05, system_every=None) as projector:
        journal.start("run", experiment="classification")
        journal.metrics(0, {"loss": 1.0})
        wait_for(lambda: projector.run_id and store.client.get_run(projector.run_id).data.metrics)
        run_id = projector.run_id
        assert run_id is not None
        assert store.client.get_run(run_id).info.status == "RUNNING"
        journal.metrics(1, {"loss": 0.5})
        journal.end()
        assert projector.close()
    assert [m[2] for m in history(store, run_id, "loss")] == [1.0, 0.5]
    assert store.client.get_run(run_id).info.status == "FINISHED"


def test_a_dead_server_stalls_nothing_is_told_once_and_sync_sends_all_later(
    store: Store, full_journal: Journal, closed_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    dead = Store(f"http://127.0.0.1:{closed_port}", store.root)
    _ = dead.client  # so that only the calls are timed, not the import
    started = time.monotonic()
    with caplog.at_level(logging.WARNING):
        projector = Projector(full_journal, dead, every=0.01, system_every=None)
        for step in range(5, 105):
            full_journal.metrics(step, {"train_loss": 1.0})
        assert time.monotonic() - started < 5
        time.sleep(0.5)  # several attempts
        closing = time.monotonic()
        assert not projector.close(timeout=20)
        assert time.monotonic() - closing < 10
    assert projector.run_id is None
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "ConnectionRefusedError" in caplog.text
    assert "`quintet sync` sends it later" in caplog.text
    sync([store.root], store)
    [run] = store.client.search_runs(["1"])
    assert len(contents(store, run.info.run_id)["metrics"]["train_loss"]) == 105


def test_a_server_that_comes_back_gets_everything(
    store: Store, full_journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter(range(3))
    search = store.client.get_experiment_by_name

    def flaky(name: str) -> object:
        if next(failures, None) is not None:
            raise ConnectionError("away")
        return search(name)

    monkeypatch.setattr(store.client, "get_experiment_by_name", flaky)
    projector = Projector(full_journal, store, every=0.01, system_every=None)
    wait_for(lambda: projector.run_id)
    assert projector.close()
    assert projector.run_id is not None
    assert contents(store, projector.run_id)["status"] == "FINISHED"


def test_a_server_that_never_answers_does_not_keep_the_process(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code = (
            "import sys; from pathlib import Path\n"
            "from quintet.tracking.journal import Journal; from quintet.tracking.projector import Projector\n"
            "from quintet.tracking.store import Store; root = Path(sys.argv[1])\n"
            "j = Journal(root / 'journal.jsonl'); j.start('run', experiment='classification')\n"
            f"p = Projector(j, Store('http://127.0.0.1:{silent.getsockname()[1]}', root))\n"
            "import mlflow\n"
            "print('ready', flush=True)\n"
            "assert not p.close(timeout=0.5)\n"
        )
        with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            started = time.monotonic()
            assert process.wait(timeout=20) == 0
            assert time.monotonic() - started < 15


def test_processor_and_memory_use_go_to_the_journal(store: Store, journal: Journal) -> None:
    journal.start("run", experiment="classification")
    counts = []
    for _ in range(2):  # the second time as after an interruption
        projector = Projector(journal, store, every=0.05, system_every=0.05)
        time.sleep(0.2)
        projector.close()
        journal.close()
        samples = [e for e in read(journal.path) if e["event"] == "metrics"]
        counts.append(len(samples))
        journal = Journal(journal.path)
    journal.close()
    assert [e["step"] for e in samples] == list(range(len(samples)))
    assert counts[0] >= 2
    assert counts[1] >= counts[0] + 2
    for sample in samples:
        assert 0 <= sample["values"]["system/cpu_utilization_percentage"] <= 100
        assert sample["values"]["system/process_memory_megabytes"] > 10
    assert projector.run_id is not None
    assert len(history(store, projector.run_id, "system/process_memory_megabytes")) == len(samples)


def test_a_short_run_that_ends_well_is_left_to_sync(store: Store, full_journal: Journal) -> None:
    projector = Projector(full_journal, store, after=60, every=0.01, system_every=None)
    assert not projector.close(ended_well=True)
    assert projector.run_id is None
    assert len(sync([store.root], store).created) == 1


def test_how_a_short_run_was_stopped_is_sent_at_once(store: Store, journal: Journal) -> None:
    journal.start("run", experiment="classification")
    projector = Projector(journal, store, after=60, every=0.01, system_every=None)
    journal.end("KILLED")
    assert projector.close()
    assert projector.run_id is not None
    assert store.client.get_run(projector.run_id).info.status == "KILLED"


def test_closing_twice_and_without_a_start_is_harmless(store: Store, journal: Journal) -> None:
    projector = Projector(journal, store, every=0.05, system_every=None)
    assert projector.close()
    assert projector.close()
    assert projector.run_id is None
    assert not any(t.name.startswith("quintet") for t in threading.enumerate())


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch, store: Store) -> Iterator[Store]:
    """A server that takes connections and never answers."""
    monkeypatch.setattr(Projector, "_out_of_reach", set())
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Store(f"http://127.0.0.1:{server.getsockname()[1]}", store.root)


def test_a_server_that_never_answers_stalls_nothing_and_is_told_once(
    store: Store, silent: Store, full_journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    _ = silent.client  # so that only the calls are timed, not the import
    with caplog.at_level(logging.WARNING):
        first = Projector(full_journal, silent, every=0.01, system_every=None)
        started = time.monotonic()
        for step in range(5, 505):
            full_journal.metrics(step, {"train_loss": 1.0})
        assert time.monotonic() - started < 2
        assert not first.close(timeout=0.5)
        again = Projector(full_journal, silent, every=0.01, system_every=None)
        started = time.monotonic()
        assert not again.close()  # 15 s, had the first not waited already
        assert time.monotonic() - started < 5
    [told] = caplog.records
    assert "no answer within 0.5 s" in told.getMessage()
    sync([store.root], store)
    [run] = store.client.search_runs(["1"])
    assert len(contents(store, run.info.run_id)["metrics"]["train_loss"]) == 505


def test_a_full_disk_under_the_database_stops_nothing(store: Store, tmp_path: Path) -> None:
    """The database can not grow: no file of the process may be larger than it is. The journal is much smaller."""
    journal = tmp_path / "outputs/journal.jsonl"
    code = (
        "import resource, sys, logging; from pathlib import Path\n"
        "from quintet.tracking.journal import Journal; from quintet.tracking.projector import Projector\n"
        "from quintet.tracking.store import Store; root = Path(sys.argv[1]); store = Store(root=root); store.check()\n"
        "size = (root / 'mlflow.db').stat().st_size; resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))\n"
        "j = Journal(Path(sys.argv[2])); p = Projector(j, store, every=0.05, system_every=None)\n"
        "j.start('run', experiment='classification')\n"
        "for step in range(3000): j.metrics(step, {'loss': 1.0})\n"
        "j.end(); assert not p.close()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, tmp_path, journal], capture_output=True, text=True, check=True)
    [told] = ran.stderr.splitlines()
    assert "full" in told or "I/O error" in told, told
    assert "`quintet sync` sends it later" in told
    sync([tmp_path / "outputs"], store)
    [run] = store.client.search_runs(["1"])
    assert run.info.status == "FINISHED"
    assert len(history(store, run.info.run_id, "loss")) == 3000


def test_a_full_disk_under_the_artifacts_stops_nothing(
    store: Store, full_journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    full = store.root / "mlruns"
    full.symlink_to("/dev/full")
    projector = Projector(full_journal, store, every=0.01, system_every=None)
    assert not projector.close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    full.unlink()
    assert sync([store.root / "outputs"], store).updated == [str(full_journal.path)]
    assert projector.run_id is not None
    assert contents(store, projector.run_id)["artifacts"] == {"figures/confusion.json": 5}


def test_no_password_of_the_address_is_told(full_journal: Journal, closed_port: int, caplog: Any) -> None:
    for address in (
        f"http://me:s3cr@et@127.0.0.1:{closed_port}",
        f"http://me:p%40s3cret@127.0.0.1:{closed_port}",
        f"postgresql://127.0.0.1:{closed_port}/db?user=me&password=s3cret&sslmode=require",
        "nonsense://me:s3cret@nowhere",
    ):
        store = Store(address, full_journal.path.parent)
        Projector(full_journal, store, every=0.01, system_every=None).close(5)
        with pytest.raises(UserError) as caught:
            store.check()
        for said in (str(store), str(caught.value), caplog.text):
            assert "s3cr" not in said, said
    assert len(caplog.records) == 4
