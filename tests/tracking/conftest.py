"""An empty MLflow database made once (MLflow's migrations take seconds) and copied for each test."""

from __future__ import annotations

import shutil
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

with warnings.catch_warnings():
    # Importing mlflow.pyfunc warns about MLflow's own classes; warnings are errors here.
    warnings.simplefilter("ignore")
    import mlflow.pyfunc  # noqa: F401

from quintet.tracking.journal import DataInput, Journal
from quintet.tracking.projection import RESTORED, project
from quintet.tracking.store import Store


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("empty")
    Store(uri=f"sqlite:///{root}/mlflow.db", root=root).check()
    return root / "mlflow.db"


@pytest.fixture(autouse=True)
def no_outer_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs around the tests must not decide where they write."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "DVC_ROOT", "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def store(tmp_path: Path, empty_database: Path) -> Store:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return Store(root=tmp_path)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "outputs/runs/lenet-digits/train/seed-0/journal.jsonl")
    yield made
    made.close()


def fill(journal: Journal) -> Journal:
    """A finished run with one of everything but a model."""
    confusion = journal.path.with_name("confusion.json")
    journal.start(
        "lenet-digits seed 0",
        experiment="classification",
        params={"model": {"name": "lenet", "depth": 5}, "seed": 0},
        tags={"suite": "embedded", "git.commit": "0123abc", "dvc.stage": "train@lenet-digits"},
        inputs=[DataInput("digits", "sha256:" + "ab" * 32, "train", "scikit-learn")],
    )
    for step in range(5):
        journal.metrics(step, {"train_loss": 1 / (step + 1), "learning_rate": 0.1}, at=1_700_000_000_000 + step)
    confusion.write_text("[[1]]")
    journal.artifact(confusion, "figures")
    journal.params({"precision": "32-true"})
    journal.tags({"stopped_by": "budget"})
    journal.end()
    return journal


@pytest.fixture
def full_journal(journal: Journal) -> Journal:
    return fill(journal)


@pytest.fixture
def closed_port() -> int:
    """A port of this machine where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def contents(store: Store, run_id: str) -> dict[str, Any]:
    """All that MLflow holds of a run, but for its id and how far its journals were sent."""
    run = store.client.get_run(run_id)
    return {
        "name": run.info.run_name,
        "times": (run.info.start_time, run.info.end_time),
        "status": run.info.status,
        "params": run.data.params,
        "tags": {k: v for k, v in run.data.tags.items() if not k.startswith(("quintet.sent", RESTORED))},
        "metrics": {k: history(store, run_id, k) for k in run.data.metrics},
        "inputs": [(i.dataset.to_dictionary(), {t.key: t.value for t in i.tags}) for i in run.inputs.dataset_inputs],
        "artifacts": {f.path: f.file_size for f in store.client.list_artifacts(run_id, "figures")},
    }


def history(store: Store, run_id: str, name: str) -> list[tuple[int, int, float]]:
    return sorted((m.step, m.timestamp, m.value) for m in store.client.get_metric_history(run_id, name))


def send(store: Store, journal: Journal) -> str:
    run_id = project(store, journal.path)
    assert run_id is not None
    return run_id
