"""A whole run while the tracking server is away, with secrets around it."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.end_to_end.conftest import Project

pytestmark = pytest.mark.slow

PASSWORD = "Tr0ub4dor-and-3"
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": f"{PASSWORD}-aws",
    "MLFLOW_TRACKING_PASSWORD": f"{PASSWORD}-mlflow",
    "PREFECT_API_AUTH_STRING": f"admin:{PASSWORD}-prefect",
    "QUINTET_TEST_TOKEN": f"{PASSWORD}-own",
}


@pytest.fixture
def one_experiment(project: Project) -> Project:
    project.keep("digits-gru")
    return project


def test_all_is_done_told_once_by_each_stage_sent_later_and_no_secret_is_kept(one_experiment: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    away = f"http://quintet:{PASSWORD}@127.0.0.1:{port}"
    project = one_experiment
    output = project.dvc("repro", MLFLOW_TRACKING_URI=away, **SECRETS)
    stages = [part.split("'")[0] for part in output.split("Running stage '")[1:]]
    assert stages == ["prepare@digits", "baseline@digits", "train@digits-gru", "evaluate@digits-gru", "report"]
    for stage, said in zip(stages, output.split("Running stage '")[1:], strict=True):
        told = [line for line in said.splitlines() if "can not be written to" in line]
        # The other stages write journals only, such a short training too.
        assert len(told) == (stage == "report"), (stage, told)
    assert f"http://***@127.0.0.1:{port}" in output
    assert project.quintet("sync", status=2, MLFLOW_TRACKING_URI=away).count("***@") == 1

    sent = project.quintet("sync", **SECRETS)
    assert "created" in sent
    assert "nothing new" in project.quintet("sync")
    report = json.loads((project.root / "outputs/report/report.json").read_text(encoding="utf8"))
    client = MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")
    held = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    stored = {run.data.tags["quintet.run_key"]: run.data.metrics.get("test_accuracy") for run in held}
    rows = {row["experiment"]: row for row in report["leaderboard"]}
    for name, found in report["provenance"].items():
        row = rows[name.rpartition("/")[2]]
        for run, value in zip(found["runs"], row["per_seed"], strict=True):
            assert stored[run["run_key"]] == pytest.approx(value, abs=1e-6)

    assert PASSWORD not in output + sent
    holding = [file for file in project.root.rglob("*") if file.is_file() and PASSWORD.encode() in file.read_bytes()]
    assert holding == []
    assert {Path("mlflow.db"), Path("outputs/report/index.html")} <= {
        file.relative_to(project.root) for file in project.root.rglob("*")
    }
