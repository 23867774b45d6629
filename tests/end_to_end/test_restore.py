"""MLflow shows what DVC brought back: in a fresh clone, from the cache, after its database was lost."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.end_to_end.conftest import Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def client_of(root: Path) -> MlflowClient:
    """With a name of its own, as MLflow would go on with a connection to a database that was deleted."""
    return MlflowClient(f"sqlite:///{root}{'/' * next(_count)}mlflow.db")


_count = itertools.count(1)


def runs(root: Path) -> list[Run]:
    client = client_of(root)
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()]))


def picture(root: Path) -> dict[str, tuple[object, ...]]:
    """What MLflow holds of every run, by its key, apart from ids of the store's own."""
    client = client_of(root)
    found = runs(root)
    keys = {run.info.run_id: run.data.tags["quintet.run_key"] for run in found}
    own = ("quintet.sent", "quintet.restored", "mlflow.parentRunId", "mlflow.user")
    return {
        keys[run.info.run_id]: (
            (run.info.run_name, run.info.status, run.info.start_time, run.info.end_time),
            run.data.params,
            {
                name: sorted((m.step, m.timestamp, m.value) for m in client.get_metric_history(run.info.run_id, name))
                for name in run.data.metrics
            },
            {name: value for name, value in run.data.tags.items() if not name.startswith(own)},
            keys.get(run.data.tags.get("mlflow.parentRunId", "")),
            sorted(file.path for file in client.list_artifacts(run.info.run_id)),
            sorted((i.dataset.name, i.dataset.digest) for i in run.inputs.dataset_inputs),
            len(run.outputs.model_outputs),
        )
        for run in found
    }


@pytest.fixture
def clone(evaluated: Project, tmp_path: Path) -> Iterator[Project]:
    """A fresh clone of the evaluated project, with the results pulled from a remote."""
    evaluated.dvc("remote", "add", "--local", "--force", "there", str(tmp_path / "remote"))
    evaluated.dvc("push", "--quiet", "--remote", "there")
    evaluated.run("git", "add", "--force", "dvc.lock")
    evaluated.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "results")
    made = Project.__new__(Project)
    made.root = tmp_path / "clone"
    evaluated.run("git", "clone", "--quiet", str(evaluated.root), str(made.root))
    made.dvc("remote", "add", "--local", "there", str(tmp_path / "remote"))
    made.dvc("pull", "--quiet", "--remote", "there")
    yield made
    evaluated.run("git", "reset", "--quiet", "HEAD~1")


def test_a_fresh_clone_shows_the_runs_as_they_were_and_never_twice(evaluated: Project, clone: Project) -> None:
    assert not (clone.root / "mlflow.db").exists()
    assert "8 created" in clone.quintet("sync")
    before, after = picture(evaluated.root), picture(clone.root)
    # The original may hold runs of other tests, whose outputs have been replaced.
    assert len(after) == 9
    assert after == {key: before[key] for key in after}
    assert {run.data.tags.get("quintet.restored") for run in runs(clone.root)} == {"true"}
    assert "created" not in clone.quintet("sync")
    assert clone.repro() == []
    clone.quintet("sync")
    assert len(runs(clone.root)) == 9

    # From the cache alone, into a database that knows nothing.
    for lost in ("outputs", "mlruns"):
        shutil.rmtree(clone.root / lost)
    (clone.root / "mlflow.db").unlink()
    assert clone.repro() == []
    clone.quintet("sync")
    assert picture(clone.root) == after
