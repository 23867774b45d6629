"""Several processes train as one would."""

from __future__ import annotations

import csv
import json
import sys

import pytest

from pipelines.servers import free_port
from tests.end_to_end.conftest import Project, stages_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EXPERIMENT = "digits-lenet"
# Without dropout, whose draws differ from process to process; latents are drawn for all processes together.
GAME = {
    "data": "digits",
    "task": "generation",
    "model": {"family": "gan", "name": "gan", "settings": {"hidden_size": 32, "units": 16, "dropout": 0.0}},
    "training": {"adversarial": {"r1": 1.0, "penalty_every": 2}},
}
PROCESSES = {"accelerator": "cpu", "devices": 2, "strategy": "ddp", "num_nodes": 1, "precision": "32-true"}


def curve(project: Project, experiment: str = EXPERIMENT) -> list[dict[str, float]]:
    file = project.root / "outputs/runs" / experiment / "train/seed-0/curves.csv"
    with open(file, newline="", encoding="utf8") as f:
        return [{k: float(v) for k, v in row.items() if k != "seconds"} for row in csv.DictReader(f)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, list[dict[str, float]]]:
    """A project, and the curve of one process."""
    project = Project(tmp_path_factory.mktemp("alone"))
    assert runs(project) == 0
    project.keep(EXPERIMENT)
    project.edit(["seeds"], [0])
    project.edit(["trainer"], {**PROCESSES, "devices": 1, "strategy": "auto"})
    project.dvc("repro", "-s", "prepare@digits")
    project.quintet("train", EXPERIMENT)
    project.quintet("sync")  # short trainings are sent later
    return project, curve(project)


def trained_by_two(alone: tuple[Project, list[dict[str, float]]], runs_before: int) -> None:
    """The losses are those of one process, and there is one run more."""
    project, one = alone
    two = curve(project)
    assert len(one) == len(two) == 2
    for each, other in zip(one, two, strict=True):
        assert other == pytest.approx(each, rel=1e-4, abs=1e-5)
    run = json.loads((project.root / f"outputs/runs/{EXPERIMENT}/train/seed-0/run.json").read_text(encoding="utf8"))
    assert run["environment"]["devices"] == 2
    project.quintet("sync")
    assert runs(project) == runs_before + 1


def test_two_processes_have_the_losses_of_one_and_make_one_run(alone: tuple[Project, list[dict[str, float]]]) -> None:
    project, _ = alone
    before = runs(project)
    project.edit(["trainer"], PROCESSES)
    project.quintet("train", EXPERIMENT)
    trained_by_two(alone, before)


def test_a_game_of_two_processes_has_the_losses_of_one_and_makes_one_run(
    alone: tuple[Project, list[dict[str, float]]],
) -> None:
    project, _ = alone
    project.edit(["baselines", "digits-generation"], {"data": "digits", "task": "generation"})
    curves = []
    for machine in ({**PROCESSES, "devices": 1, "strategy": "auto"}, PROCESSES):
        project.edit(["experiments", "digits-game"], {**GAME, "trainer": machine})
        project.quintet("train", "digits-game")
        curves.append(curve(project, "digits-game"))
    project.quintet("sync")
    assert runs(project, "generation") == 2
    one, two = curves
    assert len(one) == 2
    for each, other in zip(one, two, strict=True):
        assert other == pytest.approx(each, rel=1e-3, abs=1e-5)


def test_two_machines_share_the_weights_out_while_dvc_runs_on_the_first(
    alone: tuple[Project, list[dict[str, float]]],
) -> None:
    project, _ = alone
    before = runs(project)
    project.edit(["trainer"], {**PROCESSES, "devices": 1, "num_nodes": 2, "strategy": "fsdp"})
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    # The second machine is there first, and waits.
    with project.start(sys.executable, "-m", "quintet", "train", EXPERIMENT, NODE_RANK="1", **meeting) as second:
        output = project.dvc("repro", "--single-item", f"train@{EXPERIMENT}", NODE_RANK="0", **meeting)
        said, _ = second.communicate(timeout=120)
    assert stages_run(output) == [f"train@{EXPERIMENT}"]
    assert second.returncode == 0, said
    assert "waiting for the first machine" in said
    trained_by_two(alone, before)
    assert f"train@{EXPERIMENT}" in (project.root / "dvc.lock").read_text(encoding="utf8")


def runs(project: Project, task: str = "classification") -> int:
    from mlflow import MlflowClient

    store = MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")
    experiment = store.get_experiment_by_name(task)
    return 0 if experiment is None else len(store.search_runs([experiment.experiment_id]))
