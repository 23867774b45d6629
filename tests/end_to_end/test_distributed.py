"""Several processes train as one would."""

from __future__ import annotations

import csv
import json

import pytest

from tests.end_to_end.conftest import Project

pytestmark = pytest.mark.slow

EXPERIMENT = "digits-lenet"
PROCESSES = {"accelerator": "cpu", "devices": 2, "strategy": "ddp", "num_nodes": 1, "precision": "32-true"}


def curve(project: Project) -> list[dict[str, float]]:
    file = project.root / "outputs/runs" / EXPERIMENT / "train/seed-0/curves.csv"
    with open(file, newline="", encoding="utf8") as f:
        return [{k: float(v) for k, v in row.items() if k != "seconds"} for row in csv.DictReader(f)]


def test_two_processes_have_the_losses_of_one_and_make_one_run(project: Project) -> None:
    from mlflow import MlflowClient

    project.dvc("repro", "-s", "prepare@digits")
    project.edit(["trainer"], {**PROCESSES, "devices": 1, "strategy": "auto"})
    project.quintet("train", EXPERIMENT)
    alone = curve(project)
    runs_alone = len(_runs(MlflowClient, project))

    project.edit(["trainer"], PROCESSES)
    project.quintet("train", EXPERIMENT)
    together = curve(project)

    assert len(alone) == len(together) == 2
    for one, two in zip(alone, together, strict=True):
        assert two == pytest.approx(one, rel=1e-4, abs=1e-5)
    run = json.loads((project.root / f"outputs/runs/{EXPERIMENT}/train/seed-0/run.json").read_text(encoding="utf8"))
    assert run["environment"]["devices"] == 2
    # Two seeds: one run for each, whatever the number of processes.
    assert len(_runs(MlflowClient, project)) - runs_alone == 2


def _runs(client: type, project: Project) -> list[object]:
    store = client(f"sqlite:///{project.root / 'mlflow.db'}")
    found: list[object] = store.search_runs([store.get_experiment_by_name("classification").experiment_id])
    return found
