"""From raw data to a report in a scratch clone, as a user does it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
import yaml

from tests.end_to_end.conftest import Project, stages_run

# Whole suites run in fixtures and tests, which takes minutes on a busy machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def unchanged(evaluated: Project) -> Iterator[Project]:
    """The evaluated project; its settings and code are put back afterwards."""
    yield evaluated
    subprocess.run(["git", "checkout", "--quiet", "--", "params.yaml", "src"], cwd=evaluated.root, check=True)
    evaluated.repro()


def test_a_clone_without_results_runs_every_stage_and_leaves_a_report(evaluated: Project) -> None:
    for name in ("index.html", "report.md", "report.json"):
        assert (evaluated.root / "outputs/report" / name).stat().st_size > 1000
    report = json.loads((evaluated.root / "outputs/report/report.json").read_text(encoding="utf8"))
    rows = {row["experiment"]: row for row in report["leaderboard"]}
    assert set(rows) == {
        "digits-lenet",
        "digits-vit",
        "digits-gru",
        "digits-most-frequent",
        "digits-logistic-regression",
    }
    assert report["missing"] == []
    # The figures of the report are those of the rows, recomputed here.
    examples = pq.read_table(evaluated.root / "outputs/runs/digits-gru/evaluate/examples.parquet").to_pydict()
    right = [t == p for t, p in zip(examples["target"], examples["prediction"], strict=True)]
    assert rows["digits-gru"]["value"] == pytest.approx(sum(right) / len(right))


def test_every_other_kind_of_stage_runs_and_is_compared(project: Project) -> None:
    params = yaml.safe_load((project.root / "params.yaml").read_text(encoding="utf8"))
    names = [name for section in ("experiments", "pretraining", "finetuning") for name in params[section]]
    others = [name for name in names if name not in ("digits-lenet", "digits-vit", "digits-gru")]
    project.keep(*others)
    stages = stages_run(project.dvc("repro"))
    groups = {stage.partition("@")[0] for stage in stages}
    defined = yaml.safe_load((project.root / "dvc.yaml").read_text(encoding="utf8"))["stages"]
    assert groups == set(defined) - {"prepare-own"}
    report = json.loads((project.root / "outputs/report/report.json").read_text(encoding="utf8"))
    assert report["missing"] == []
    rows = {row["experiment"]: row for row in report["leaderboard"]}
    assert {name for name, row in rows.items() if not row["baseline"]} == set(others)
    assert {row["task"] for row in rows.values()} == {
        "classification",
        "generation",
        "inpainting",
        "pretraining",
        "tagging",
    }
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")
    for row in rows.values():
        for run_id, value in zip(row["run_ids"], row["per_seed"], strict=True):
            run = client.get_run(run_id)
            assert run.info.status == "FINISHED"
            assert run.data.metrics[f"test_{row['metric']}"] == pytest.approx(value, rel=1e-6)
    assert project.repro() == []


def test_running_again_runs_nothing(evaluated: Project) -> None:
    output = evaluated.dvc("repro")
    assert stages_run(output) == []
    assert "up to date" in output


def test_changing_one_experiment_reruns_it_alone_and_undoing_it_restores_from_the_cache(unchanged: Project) -> None:
    weights = unchanged.root / "outputs/runs/digits-gru/train/seed-0/weights.safetensors"
    before = weights.read_bytes()
    unchanged.edit(["experiments", "digits-gru", "model", "settings", "hidden_size"], 24)
    assert unchanged.repro() == ["train@digits-gru", "evaluate@digits-gru", "report"]
    assert weights.read_bytes() != before
    difference = unchanged.dvc("params", "diff")
    assert "hidden_size" in difference
    assert "24" in difference
    unchanged.run("git", "checkout", "--quiet", "--", "params.yaml")
    assert unchanged.repro() == []
    assert weights.read_bytes() == before


def test_editing_a_familys_folder_reruns_that_family_alone(unchanged: Project) -> None:
    with open(unchanged.root / "src/quintet/models/transformer/vit.py", "a", encoding="utf8") as f:
        f.write("\n# an edit\n")
    ran = unchanged.repro()
    assert "train@digits-vit" in ran
    assert not {"train@digits-lenet", "train@digits-gru", "prepare@digits", "baseline@digits"} & set(ran)


def test_a_stage_sees_only_what_it_declared(evaluated: Project) -> None:
    code = (
        "import json; from quintet.stages import declared; print(json.dumps(declared.parameters('train@digits-gru')))"
    )
    shown = json.loads(evaluated.run(sys.executable, "-c", code).splitlines()[-1])
    assert set(shown) == {"experiments", "seeds", "trainer", "training"}
    assert set(shown["experiments"]) == {"digits-gru"}


def test_dvc_shows_metrics_and_plots(evaluated: Project) -> None:
    metrics = json.loads(evaluated.dvc("metrics", "show", "--json"))[""]["data"]
    found = metrics["outputs/metrics/digits-lenet.json"]["data"]
    assert set(found) == {"accuracy", "macro_f1", "nll", "calibration_error"}
    evaluated.dvc("plots", "show")
    page = (evaluated.root / "dvc_plots/index.html").read_text(encoding="utf8")
    assert "Validation score" in page
    assert "Confusion on the test split" in page


def test_mlflow_holds_a_finished_run_for_each_seed_with_links_both_ways(evaluated: Project) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{evaluated.root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("classification")
    assert experiment is not None
    runs = {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}
    # Evaluation adds to the training's run and makes none of its own.
    assert len({run.data.tags["quintet.run_key"] for run in runs.values()}) == len(runs)
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    commit = evaluated.run("git", "rev-parse", "HEAD").strip()
    report = json.loads((evaluated.root / "outputs/report/report.json").read_text(encoding="utf8"))
    lock = yaml.safe_load((evaluated.root / "dvc.lock").read_text(encoding="utf8"))
    pipeline = client.get_experiment_by_name("pipeline")
    assert pipeline is not None
    executions = {run.info.run_id: run for run in client.search_runs([pipeline.experiment_id])}
    assert {run.info.status for run in executions.values()} == {"FINISHED"}
    for row in report["leaderboard"]:
        for run_id, value in zip(row["run_ids"], row["per_seed"], strict=True):
            run = runs[run_id]
            assert run.data.metrics["test_accuracy"] == pytest.approx(value, abs=1e-6)
            assert run.data.tags["git.commit"] == commit
            assert run.data.tags["family"] == row["family"]
            assert run.data.tags["suite"] == "smoke"
            entry = lock["stages"][run.data.tags["dvc.stage"]]
            digest = hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
            assert run.data.tags["dvc.lock"] == digest
            assert run.data.tags["mlflow.parentRunId"] in executions
            assert run.data.tags["dvc.stage"].endswith(("@digits", f"@{row['experiment']}"))
            digests = {i.dataset.digest for i in run.inputs.dataset_inputs}
            assert len(digests) == 1
            assert row["data_digest"].removeprefix("sha256:").startswith(digests.pop().removeprefix("sha256:"))
    reported = next(row for row in report["leaderboard"] if row["experiment"] == "digits-gru")
    gru = runs[reported["run_ids"][0]]
    assert gru.data.params["model.settings.hidden_size"] == "32"
    assert gru.data.params["environment.torch"] == torch.__version__
    assert {a.path for a in client.list_artifacts(gru.info.run_id, "figures")} == {
        "figures/confusion.png",
        "figures/curves.png",
    }
    assert [m.value for m in client.get_metric_history(gru.info.run_id, "epoch")] == [0, 1]
    for run_id, execution in executions.items():
        assert {a.path for a in client.list_artifacts(run_id)} == {"index.html", "report.md", "report.json"}
        trained = [run for run in runs.values() if run.data.tags["mlflow.parentRunId"] == run_id]
        assert execution.data.tags["runs.compared"] == "8"
        assert execution.data.tags["runs.trained_here"] == str(len(trained))
    champion = client.get_model_version_by_alias("classification-digits", "champion")
    chosen = next(row for row in report["leaderboard"] if row["champion"])
    assert champion.run_id in chosen["run_ids"]


def test_sync_restores_a_lost_database_as_it_was(evaluated: Project) -> None:
    from mlflow import MlflowClient

    def content() -> dict[str, tuple[object, ...]]:
        client = MlflowClient(f"sqlite:///{evaluated.root / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("classification")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id])
        times = {"restored", "mlflow"}
        return {
            run.data.tags["quintet.run_key"]: (
                run.info.run_name,
                run.info.status,
                run.info.start_time,
                run.data.metrics.keys(),
                {k: v for k, v in run.data.metrics.items() if not k.startswith("system/")},
                run.data.params,
                {k: v for k, v in run.data.tags.items() if k.partition(".")[0] not in times and "restored" not in k},
            )
            for run in runs
        }

    before = content()
    kept = evaluated.root / "kept.db"
    (evaluated.root / "mlflow.db").rename(kept)
    try:
        assert "created" in evaluated.quintet("sync")
        assert content() == before
        assert "created" not in evaluated.quintet("sync")
    finally:
        kept.replace(evaluated.root / "mlflow.db")


def test_a_mistake_in_one_experiment_stops_repro_before_any_work(project: Project) -> None:
    project.edit(["experiments", "digits-gru", "model", "name"], "gruu")
    output = project.dvc("repro", status=255)
    assert "unknown rnn model 'gruu'; did you mean 'gru'?" in output
    assert not (project.root / "outputs").exists()
    assert not (project.root / "data/prepared/digits/spec.json").exists()


def test_every_suite_builds_the_graph(project: Project, tmp_path: Path) -> None:
    for suite in sorted((project.root / "suites").glob("*.yaml")):
        (project.root / "params.yaml").write_text(suite.read_text(encoding="utf8"), encoding="utf8")
        stages = project.dvc("stage", "list", "--name-only").split()
        params = yaml.safe_load(suite.read_text(encoding="utf8"))
        for section, stage in (("experiments", "train"), ("pretraining", "pretrain"), ("finetuning", "finetune")):
            assert {f"{stage}@{name}" for name in params[section]} <= set(stages)
