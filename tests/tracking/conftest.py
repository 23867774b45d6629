"""An empty MLflow database made once (MLflow's migrations take seconds) and copied for each test."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from quintet.tracking.journal import DataInput, Journal
from quintet.tracking.store import Store

# MLflow's own use of SQLAlchemy, nothing we could write differently.
_MLFLOW_WARNINGS = ["ignore:The ``noload`` loader strategy is deprecated"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            for warning in _MLFLOW_WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(warning))


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
