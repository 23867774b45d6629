from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.entities import Run

from quintet.tracking.execution import PARENT, PIPELINE, children
from quintet.tracking.journal import RUN_KEY, Journal, Status
from quintet.tracking.projection import RESTORED, Projection, project
from quintet.tracking.provenance import EXECUTION
from quintet.tracking.store import Store
from quintet.tracking.sync import sync
from tests.tracking.conftest import contents

FIRST, SECOND = "11111111-flow", "22222222-flow"


class Runs:
    """Writes journals below outputs and sends them."""

    def __init__(self, store: Store) -> None:
        self.store, self.folder = store, store.root / "outputs"

    def train(self, name: str, execution: str, status: Status | None = "FINISHED") -> str:
        path = self.folder / "runs" / name / "train/seed-0/journal.jsonl"
        journal = Journal(path)
        journal.start(name, experiment="classification", tags={EXECUTION: execution, "git.commit": "0123abc"})
        if status:
            journal.end(status)
        journal.close()
        run_id = project(self.store, path)
        assert run_id is not None
        return run_id

    def report(self, execution: str, status: Status = "FINISHED") -> None:
        path = self.folder / "report/journal.jsonl"
        shutil.rmtree(path.parent, ignore_errors=True)
        journal = Journal(path)
        journal.start("pipeline", experiment=PIPELINE, tags={RUN_KEY: execution, EXECUTION: execution, "suite": "s"})
        page = path.with_name("index.html")
        page.write_text("report")
        journal.artifact(page)
        journal.end(status)
        journal.close()
        project(self.store, path)


@pytest.fixture
def runs(store: Store) -> Runs:
    return Runs(store)


def parent(store: Store, execution: str) -> Run:
    run = store.find(PIPELINE, execution)
    assert run is not None
    return run


def test_an_execution_is_the_parent_of_what_it_trained_and_holds_the_report(store: Store, runs: Runs) -> None:
    lenet, gru = runs.train("lenet", FIRST), runs.train("gru", FIRST)
    runs.report(FIRST)
    made = parent(store, FIRST)
    assert {child.info.run_id for child in children(store, made.info.run_id)} == {lenet, gru}
    assert (made.info.run_name, made.info.status) == ("pipeline-11111111", "FINISHED")
    assert made.data.tags.items() >= {"git.commit": "0123abc", "suite": "s"}.items()
    assert [file.path for file in store.client.list_artifacts(made.info.run_id)] == ["index.html"]
    first = store.client.get_run(lenet)
    assert made.info.start_time == first.info.start_time
    assert made.info.end_time >= store.client.get_run(gru).info.end_time


def test_a_run_that_a_later_execution_reuses_stays_where_it_was_trained(store: Store, runs: Runs) -> None:
    lenet = runs.train("lenet", FIRST)
    runs.report(FIRST)
    gru = runs.train("gru", SECOND)
    runs.report(SECOND)
    assert [c.info.run_id for c in children(store, parent(store, FIRST).info.run_id)] == [lenet]
    assert [c.info.run_id for c in children(store, parent(store, SECOND).info.run_id)] == [gru]


def test_a_run_that_a_later_execution_finished_is_its_child_alone(store: Store, runs: Runs) -> None:
    killed = runs.train("lenet", FIRST, status=None)
    assert parent(store, FIRST).info.status == "RUNNING"
    assert runs.train("lenet", SECOND) == killed
    assert store.client.get_run(killed).data.tags[PARENT] == parent(store, SECOND).info.run_id
    assert children(store, parent(store, FIRST).info.run_id) == []
    assert [parent(store, e).info.status for e in (FIRST, SECOND)] == ["KILLED", "FINISHED"]


@pytest.mark.parametrize(
    ("ends", "report", "status"),
    [
        (["FINISHED", "FINISHED"], None, "FINISHED"),
        (["FINISHED", None], None, "RUNNING"),
        (["FAILED", None], None, "RUNNING"),
        (["FINISHED", "KILLED"], None, "KILLED"),
        (["KILLED", "FAILED"], None, "FAILED"),
        (["FAILED", "FINISHED"], "FINISHED", "FAILED"),
        (["FINISHED", "FINISHED"], "FAILED", "FAILED"),
        ([], "FINISHED", "FINISHED"),
    ],
)
def test_an_execution_is_as_what_ran_in_it(
    store: Store, runs: Runs, ends: list[Status | None], report: Status | None, status: str
) -> None:
    for i, end in enumerate(ends):
        runs.train(f"experiment-{i}", FIRST, end)
    if report:
        runs.report(FIRST, report)
    assert parent(store, FIRST).info.status == status


def test_a_lost_database_has_the_same_parents_again_once(store: Store, runs: Runs, empty_database: Path) -> None:
    runs.train("lenet", FIRST)
    runs.train("vit", FIRST, "KILLED")
    runs.report(FIRST)
    runs.train("vit", SECOND)
    runs.train("gru", SECOND)
    runs.report(SECOND)

    def picture(store: Store) -> dict[str, object]:
        made = [parent(store, execution) for execution in (FIRST, SECOND)]
        return {
            run.data.tags[EXECUTION]: (
                {c.info.run_name: contents(store, c.info.run_id)["times"] for c in children(store, run.info.run_id)},
                run.info.status,
                run.info.start_time,
            )
            for run in made
        }

    before, last = picture(store), contents(store, parent(store, SECOND).info.run_id)
    shutil.rmtree(store.root / "mlruns")
    shutil.copy(empty_database, store.root / "mlflow.db")
    new = Store(f"sqlite:///{store.root}//mlflow.db", root=store.root)
    for _ in range(2):
        sync([store.root / "outputs"], new)
        assert picture(new) == before
        assert contents(new, parent(new, SECOND).info.run_id) == last
        pipeline = new.client.get_experiment_by_name(PIPELINE)
        assert len(new.client.search_runs([pipeline.experiment_id])) == 2
    assert {parent(new, execution).data.tags[RESTORED] for execution in (FIRST, SECOND)} == {"true"}


def test_an_execution_deleted_in_mlflow_stays_deleted_and_stops_nothing(store: Store, runs: Runs) -> None:
    runs.train("lenet", FIRST)
    store.client.delete_run(parent(store, FIRST).info.run_id)
    gru = runs.train("gru", FIRST)
    assert store.client.get_run(gru).info.status == "FINISHED"
    assert parent(store, FIRST).info.lifecycle_stage == "deleted"


def test_machines_that_make_the_same_execution_at_once_agree_on_one(store: Store, runs: Runs) -> None:
    training = Journal(runs.folder / "runs/lenet/train/seed-0/journal.jsonl")
    training.start("lenet", experiment="classification", tags={EXECUTION: FIRST})
    projection = Projection(store, training.path)
    projection.advance()
    mine = parent(store, FIRST)
    others = store.client.create_run(
        mine.info.experiment_id, start_time=mine.info.start_time - 1, tags={RUN_KEY: FIRST, EXECUTION: FIRST}
    )
    gru = runs.train("gru", FIRST)
    training.end()
    training.close()
    projection.advance()
    runs.report(FIRST)
    assert parent(store, FIRST).info.run_id == others.info.run_id
    found = {child.info.run_id for child in children(store, others.info.run_id)}
    assert found == {gru, projection.run_id}
    assert store.client.get_run(mine.info.run_id).info.lifecycle_stage == "deleted"
    assert parent(store, FIRST).info.status == "FINISHED"


def test_without_an_execution_there_is_no_parent(store: Store, full_journal: Journal) -> None:
    run_id = project(store, full_journal.path)
    assert run_id is not None
    assert PARENT not in store.client.get_run(run_id).data.tags
    assert store.client.get_experiment_by_name(PIPELINE) is None


def test_stages_of_one_dvc_command_are_one_execution_and_of_two_are_two(tmp_path: Path) -> None:
    (tmp_path / "stage.py").write_text(
        "from pathlib import Path; from quintet.tracking.provenance import EXECUTION, provenance\n"
        "with open('told', 'a') as f: f.write(provenance(Path())[EXECUTION] + ' ')"
    )
    run = f"cmd: {sys.executable} stage.py && true"
    (tmp_path / "dvc.yaml").write_text(f"stages:\n  one: {{{run}}}\n  two: {{{run}}}\n")
    dvc = [sys.executable, "-m", "dvc"]
    for command in ([*dvc, "init", "--no-scm", "-q"], [*dvc, "repro", "-q"], [*dvc, "repro", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    one, two, again, another = (tmp_path / "told").read_text().split()
    assert one == two
    assert again == another != one
