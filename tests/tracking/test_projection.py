from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from quintet.errors import UserError
from quintet.tracking import projection as projection_module
from quintet.tracking.journal import RUN_KEY, DataInput, Journal, read
from quintet.tracking.projection import Projection
from quintet.tracking.store import Store
from tests.tracking.conftest import contents, fill, history, send


def test_the_store_holds_what_the_journal_says(store: Store, full_journal: Journal) -> None:
    run_id = send(store, full_journal)
    events, held = read(full_journal.path), contents(store, run_id)
    assert store.client.get_experiment(store.client.get_run(run_id).info.experiment_id).name == "classification"
    assert held["name"] == "lenet-digits seed 0"
    assert held["times"] == (events[0]["at"], events[-1]["at"])
    assert held["status"] == "FINISHED"
    assert held["params"] == {"model.name": "lenet", "model.depth": "5", "seed": "0", "precision": "32-true"}
    assert held["metrics"]["train_loss"] == [(s, 1_700_000_000_000 + s, 1 / (s + 1)) for s in range(5)]
    expected = {RUN_KEY: full_journal.run_key, "suite": "embedded", "stopped_by": "budget", "git.commit": "0123abc"}
    links = {"mlflow.source.git.commit": "0123abc", "mlflow.source.name": "train@lenet-digits"}
    assert held["tags"].items() >= (expected | links).items()
    [(data, tags)] = held["inputs"]
    assert (data["name"], data["digest"], data["source"]) == ("digits", "ab" * 16, "scikit-learn")
    assert tags == {"mlflow.data.context": "train", "digest": "sha256:" + "ab" * 32}
    assert held["artifacts"] == {"figures/confusion.json": 5}


def test_artifacts_lie_in_mlruns_wherever_the_process_runs(
    store: Store, full_journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run_id = send(store, full_journal)
    assert (tmp_path / "mlruns/classification" / run_id / "artifacts/figures/confusion.json").is_file()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_sending_again_changes_nothing(store: Store, full_journal: Journal) -> None:
    run_id = send(store, full_journal)
    before = contents(store, run_id)
    assert send(store, full_journal) == run_id
    assert contents(store, run_id) == before
    assert Projection(store, full_journal.path).advance() == 0


def test_a_journal_that_grows_is_sent_on(store: Store, journal: Journal) -> None:
    journal.start("run", experiment="classification")
    following = Projection(store, journal.path)
    for step in range(3):
        journal.metrics(step, {"loss": float(step)})
        assert following.advance() == (2 if step == 0 else 1)
    assert following.run_id is not None
    assert store.client.get_run(following.run_id).info.status == "RUNNING"
    other = Projection(store, journal.path)
    journal.metrics(3, {"loss": 3.0})
    assert other.advance() == 1  # another process goes on where the first stopped
    assert [m[2] for m in history(store, following.run_id, "loss")] == [0, 1, 2, 3]


def test_a_crash_after_any_write_leaves_one_run_with_everything_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, writes, last = store.client, 0, 0

    class Crash(Exception):
        pass

    def crashing(name: str) -> Any:
        original = getattr(client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal writes
            result = original(*args, **kwargs)
            writes += 1
            if writes == last:
                raise Crash
            return result

        return call

    for name in ("create_run", "update_run", "log_inputs", "log_artifact", "log_batch", "set_terminated"):
        monkeypatch.setattr(client, name, crashing(name))
    monkeypatch.setattr(projection_module, "_METRICS", 4)
    crashed = True
    while crashed:
        writes, last, crashed = 0, last + 1, False
        journal = fill(Journal(tmp_path / str(last) / "journal.jsonl"))
        journal.close()
        try:
            send(store, journal)
        except Crash:
            crashed = True
            held = contents(store, send(store, journal))
            assert (held["status"], held["params"]["precision"]) == ("FINISHED", "32-true")
            assert held["metrics"]["train_loss"] == [(s, 1_700_000_000_000 + s, 1 / (s + 1)) for s in range(5)]
    assert last > 6
    assert len(store.client.search_runs(["1"])) == last


def test_more_than_one_request_may_hold(store: Store, journal: Journal) -> None:
    journal.start(
        "run",
        experiment="classification",
        params={f"p{i}": i for i in range(250)},
        tags={f"t{i}": "x" for i in range(205)},
    )
    for step in range(30):
        journal.metrics(step, {f"m{i}": float(step) for i in range(100)})
    run_id = send(store, journal)
    run = store.client.get_run(run_id)
    assert len(run.data.params) == 250
    assert sum(k.startswith("t") for k in run.data.tags) == 205
    assert all(len(history(store, run_id, f"m{i}")) == 30 for i in (0, 50, 99))


def test_numbers_that_are_not_finite_arrive(store: Store, journal: Journal) -> None:
    journal.start("run", experiment="classification")
    journal.metrics(0, {"loss": math.nan, "peak": math.inf})
    held = store.client.get_run(send(store, journal)).data.metrics
    assert math.isnan(held["loss"])
    assert held["peak"] > 1e308  # databases have no infinity


def test_an_interrupted_run_goes_on_as_the_same_run(store: Store, journal: Journal) -> None:
    data = [DataInput("digits", "sha256:" + "0" * 64, "train", "scikit-learn")]
    journal.start("run", experiment="classification", params={"devices": 1}, inputs=data)
    journal.metrics(0, {"loss": 1.0})
    journal.end("KILLED")
    run_id = send(store, journal)
    assert store.client.get_run(run_id).info.status == "KILLED"
    journal.start("run", experiment="classification", params={"devices": 2, "workers": 3}, inputs=data)
    assert send(store, journal) == run_id
    assert store.client.get_run(run_id).info.status == "RUNNING"
    journal.end()
    send(store, journal)
    run = store.client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"devices": "1", "workers": "3"}
    assert run.data.tags["changed.devices"] == "2"
    assert len(run.inputs.dataset_inputs) == 1


def test_an_evaluation_writes_to_the_run_of_its_training(store: Store, full_journal: Journal) -> None:
    run_id = send(store, full_journal)
    evaluation = Journal(full_journal.path.parents[2] / "evaluate/seed-0/journal.jsonl")
    assert full_journal.run_key is not None
    evaluation.start("evaluation", experiment="classification", tags={RUN_KEY: full_journal.run_key})
    evaluation.metrics(0, {"test_accuracy": 0.98})
    evaluation.end()
    evaluation.close()
    assert send(store, evaluation) == run_id
    held = contents(store, run_id)
    assert held["name"] == "lenet-digits seed 0"
    assert held["times"] == (read(full_journal.path)[0]["at"], read(evaluation.path)[-1]["at"])
    assert set(held["metrics"]) == {"train_loss", "learning_rate", "test_accuracy"}
    assert Projection(store, full_journal.path).advance() == 0


def test_a_file_that_is_gone_is_told_and_does_not_block_the_rest(
    store: Store, full_journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    full_journal.path.with_name("confusion.json").unlink()
    held = contents(store, send(store, full_journal))
    assert held["status"] == "FINISHED"
    assert held["artifacts"] == {}
    assert "confusion.json, which is no longer there" in caplog.text


def test_a_run_that_somebody_deleted_stays_deleted(store: Store, full_journal: Journal) -> None:
    run_id = send(store, full_journal)
    store.client.delete_run(run_id)
    full_journal.metrics(9, {"train_loss": 0.0})
    projection = Projection(store, full_journal.path)
    projection.advance()
    assert projection.deleted
    assert store.client.search_runs(["1"]) == []


def test_a_deleted_experiment_is_named_with_the_way_back(store: Store, full_journal: Journal) -> None:
    store.client.delete_experiment(store.experiment_id("classification"))
    with pytest.raises(UserError, match=r"'classification' was deleted.*mlflow experiments restore --experiment-id 1"):
        send(store, full_journal)


def test_a_password_in_the_address_is_not_shown(tmp_path: Path) -> None:
    assert str(Store("http://user:secret@host:5000/path", tmp_path)) == "http://***@host:5000/path"


@pytest.mark.parametrize("marker", ["dvc.yaml", ".dvc"])
def test_the_store_is_at_the_projects_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, marker: str) -> None:
    (tmp_path / marker).mkdir() if marker == ".dvc" else (tmp_path / marker).touch()
    (tmp_path / "a/b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a/b")
    assert Store().uri == f"sqlite:///{tmp_path}/mlflow.db"


def test_artifacts_come_through_the_server_that_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository
    from mlflow.utils.server_info import SERVER_INFO_MULTIPART_DOWNLOADS_ENABLED as OFFERED

    for name in ("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD"):
        # Set and taken away, so that it is as before afterwards.
        monkeypatch.setenv(name, "true")
        monkeypatch.delenv(name)
    offering = MlflowArtifactsRepository("mlflow-artifacts://127.0.0.1:9/run", tracking_uri="http://127.0.0.1:9")
    offering._server_capabilities = {OFFERED: True}
    assert offering._is_multipart_download_enabled(), "MLflow no longer sends clients to the bucket by itself"
    assert Store(f"sqlite:///{tmp_path}/mlflow.db", tmp_path).client
    assert not offering._is_multipart_download_enabled()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "a"))  # DVC runs experiments in temporary copies
    assert Store().uri == f"sqlite:///{tmp_path}/a/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert Store().uri == "http://127.0.0.1:5000"


def test_a_first_opening_that_was_cut_off_leaves_no_broken_database(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from quintet.tracking.store import Store; Store(root=pathlib.Path(sys.argv[1])).check()"
    )
    partial = tmp_path / "mlflow.db.partial"
    with subprocess.Popen([sys.executable, "-c", code, tmp_path]) as opening:
        deadline = time.monotonic() + 60
        while not (partial.exists() and partial.stat().st_size > 100_000):
            assert opening.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        opening.kill()
    assert not (tmp_path / "mlflow.db").exists()
    Store(root=tmp_path).check()
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith("mlflow.db.partial")] == []


@pytest.mark.slow
def test_eight_processes_may_meet_at_a_new_database(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from quintet.tracking.journal import Journal; from quintet.tracking.projection import project\n"
        "from quintet.tracking.store import Store\n"
        "root, name = Path(sys.argv[1]), sys.argv[2]\n"
        "j = Journal(root / name / 'journal.jsonl')\n"
        "j.start(name, experiment='classification', tags={'quintet.execution': 'one'})\n"
        "j.metrics(0, {'loss': 1.0}); j.end()\n"
        "assert project(Store(root=root), j.path)\n"
    )
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), f"run-{i}"], env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        for i in range(8)
    ]
    assert [w.wait() for w in workers] == [0] * 8
    runs = Store(root=tmp_path).client.search_runs(["1"])
    assert sorted(r.info.run_name for r in runs) == [f"run-{i}" for i in range(8)]
    assert all(r.info.status == "FINISHED" and r.data.metrics == {"loss": 1.0} for r in runs)
    [execution] = Store(root=tmp_path).client.search_runs(["2"])
    assert {r.data.tags["mlflow.parentRunId"] for r in runs} == {execution.info.run_id}
    assert execution.info.status == "FINISHED"


def test_images_lie_where_mlflow_looks_for_a_series_and_once_however_often_they_are_sent(
    store: Store, journal: Journal, tmp_path: Path
) -> None:
    journal.start("run", experiment="generation")
    for step in (6, 12):
        file = journal.path.with_name(f"samples-step-{step}.png")
        Image.new("L", (422, 44), step).save(file)
        journal.image(file, "samples", step)
    run_id = send(store, journal)
    kept = {file.path for file in store.client.list_artifacts(run_id, "images")}
    theirs = tmp_path / "theirs"
    run = store.client.create_run(store.client.get_run(run_id).info.experiment_id)
    store.client.log_image(run.info.run_id, Image.new("RGB", (422, 44)), key="samples", step=6)
    # The names and sizes are MLflow's own.
    for number, files in ((1, [f.path for f in store.client.list_artifacts(run.info.run_id, "images")]), (2, kept)):
        assert len(files) == 2 * number
        for path in files:
            assert re.fullmatch(
                r"images/samples\+step\+(6|12)\+timestamp\+\d+\+[0-9a-f-]{36}(\+compressed\.webp|\.png)", path
            )
    [thumbnail] = [path for path in kept if "step+12" in path and path.endswith("webp")]
    theirs.mkdir()
    with Image.open(store.client.download_artifacts(run_id, thumbnail, str(theirs))) as small:
        assert small.size == (256, 26)
    assert store.client.get_run(run_id).data.tags["mlflow.loggedImages"] == "True"
    store.client.set_tag(
        run_id, next(t for t in store.client.get_run(run_id).data.tags if t.startswith("quintet.sent")), "0"
    )
    assert send(store, journal) == run_id
    assert {file.path for file in store.client.list_artifacts(run_id, "images")} == kept
