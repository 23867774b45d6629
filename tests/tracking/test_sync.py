from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from quintet.errors import UserError
from quintet.tracking.journal import RUN_KEY, Journal, read
from quintet.tracking.projection import RESTORED
from quintet.tracking.provenance import EXECUTION
from quintet.tracking.store import Store
from quintet.tracking.sync import remember, sync, up_to_date
from tests.tracking.conftest import contents, send


def evaluation_of(training: Journal) -> Journal:
    # Its folder sorts before the training's.
    evaluation = Journal(training.path.parents[2] / "evaluate/seed-0/journal.jsonl")
    assert training.run_key is not None
    evaluation.start("evaluation", experiment="classification", tags={RUN_KEY: training.run_key})
    evaluation.metrics(0, {"test_accuracy": 0.98})
    evaluation.end()
    evaluation.close()
    return evaluation


def test_a_lost_database_is_rebuilt_equal_to_before(store: Store, full_journal: Journal, empty_database: Path) -> None:
    evaluation = evaluation_of(full_journal)
    run_id = send(store, full_journal)
    send(store, evaluation)
    before = contents(store, run_id)
    assert RESTORED not in store.client.get_run(run_id).data.tags

    shutil.rmtree(store.root / "mlruns")
    shutil.copy(empty_database, store.root / "mlflow.db")
    new = Store(f"sqlite:///{store.root}//mlflow.db", root=store.root)  # a new connection to the new file
    summary = sync([store.root / "outputs"], new)
    assert (summary.created, summary.updated) == ([str(full_journal.path)], [str(evaluation.path)])
    [run] = new.client.search_runs(["1"])
    assert run.info.run_id != run_id
    assert run.data.tags[RESTORED] == "true"
    assert contents(new, run.info.run_id) == before

    again = sync([store.root / "outputs"], new)
    assert len(again.unchanged) == 2
    assert not again.created + again.updated
    assert len(new.client.search_runs(["1"])) == 1


def test_a_copy_that_waits_to_be_sent_is_sent_once_and_deleted(store: Store, full_journal: Journal) -> None:
    waiting = store.root / ".scratch/unsent/key"
    shutil.copytree(full_journal.path.parent, waiting)
    places = [store.root / "outputs", store.root / ".scratch"]
    summary = sync(places, store)
    assert len(summary.created) == 1
    assert not summary.updated + summary.unchanged
    assert not waiting.exists()
    assert len(store.client.search_runs(["1"])) == 1
    assert len(sync(places, store).unchanged) == 1


def test_results_of_an_entry_that_is_called_unsent_stay(store: Store) -> None:
    journal = Journal(store.root / "outputs/baselines/unsent/most-frequent/journal.jsonl")
    journal.start("baseline", experiment="classification")
    journal.end()
    journal.close()
    assert len(sync([store.root / "outputs"], store).created) == 1
    assert journal.path.exists()


def test_what_the_asking_execution_did_is_sent_for_the_first_time_and_not_called_restored(
    store: Store, tmp_path: Path
) -> None:
    for execution in ("this", "earlier"):
        journal = Journal(store.root / "outputs" / execution / "journal.jsonl")
        journal.start(execution, experiment="classification", tags={EXECUTION: execution})
        journal.end()
        journal.close()
    summary = sync([store.root / "outputs"], store, "this")
    assert len(summary.created) == len(summary.run_ids) == 2
    experiment = store.client.get_experiment_by_name("classification")
    assert experiment is not None
    runs = {run.info.run_name: run for run in store.client.search_runs([experiment.experiment_id])}
    assert {name: run.data.tags.get(RESTORED) for name, run in runs.items()} == {"this": None, "earlier": "true"}
    assert set(summary.run_ids.values()) == {run.info.run_id for run in runs.values()}


def test_what_needs_no_sync_is_known_until_something_happens(store: Store, full_journal: Journal) -> None:
    root = store.root
    assert not up_to_date(root, store)
    sync([root / "outputs"], store)
    remember(root, store)
    assert up_to_date(root, store)
    # Somebody changes the store: a run deleted there may have been forgotten by now.
    [run] = store.client.search_runs(["1"])
    store.client.set_tag(run.info.run_id, "seen", "yes")
    assert not up_to_date(root, store)
    remember(root, store)
    assert up_to_date(root, store)
    # A new run, which then ends.
    going = Journal(root / "outputs/other/journal.jsonl")
    going.start("other", experiment="classification")
    assert not up_to_date(root, store)
    remember(root, store)
    assert not up_to_date(root, store), "a run that goes on may be killed, without a word in its journal"
    going.end()
    going.close()
    sync([root / "outputs"], store)
    remember(root, store)
    assert up_to_date(root, store)
    # The database is lost, and another takes its place.
    database = root / "mlflow.db"
    shutil.copy(database, root / "copy.db")
    database.unlink()
    assert not up_to_date(root, store)
    (root / "copy.db").rename(database)
    assert not up_to_date(root, store)


def test_of_a_server_nothing_is_known_unless_it_is_asked(full_journal: Journal, tmp_path: Path) -> None:
    server = Store("http://127.0.0.1:9", tmp_path)
    remember(tmp_path, server)
    assert not up_to_date(tmp_path, server)


def test_what_was_sent_in_part_is_completed_and_not_called_restored(store: Store, journal: Journal) -> None:
    journal.start("run", experiment="classification")
    run_id = send(store, journal)
    journal.metrics(0, {"loss": 1.0})
    assert sync([store.root], store).updated == [str(journal.path)]
    run = store.client.get_run(run_id)
    assert run.data.metrics == {"loss": 1.0}
    assert RESTORED not in run.data.tags


def test_a_run_whose_process_was_killed_is_told_so_until_it_goes_on(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "outputs/journal.jsonl"
    code = (
        "import os, sys; from pathlib import Path; from quintet.tracking.journal import Journal\n"
        "j = Journal(Path(sys.argv[1])); j.start('run', experiment='classification'); j.metrics(0, {'loss': 1.0})\n"
        "print(flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as training:
        assert training.stdout is not None
        training.stdout.readline()
        sync([tmp_path], store)
        [run] = store.client.search_runs(["1"])
        assert run.info.status == "RUNNING"
        training.kill()
    sync([tmp_path], store)
    [run] = store.client.search_runs(["1"])
    assert (run.info.status, run.info.end_time) == ("KILLED", read(path)[1]["at"])
    assert sync([tmp_path], store).unchanged == [str(path)]
    journal = Journal(path)
    journal.start("run", experiment="classification")
    sync([tmp_path], store)
    assert store.client.get_run(run.info.run_id).info.status == "RUNNING"
    journal.end()
    journal.close()
    sync([tmp_path], store)
    assert store.client.get_run(run.info.run_id).info.status == "FINISHED"


def test_one_damaged_journal_does_not_stop_the_others(store: Store, full_journal: Journal) -> None:
    damaged = store.root / "outputs/runs/damaged/train/seed-0/journal.jsonl"
    damaged.parent.mkdir(parents=True)
    damaged.write_text("no journal\n")
    (damaged.parents[1] / "seed-1").mkdir()
    (damaged.parents[1] / "seed-1/journal.jsonl").touch()
    summary = sync([store.root / "outputs"], store)
    assert summary.created == [str(full_journal.path)]
    assert "is not an event" in summary.failed[str(damaged)]
    assert str(summary) == "1 created, 1 unchanged, 1 failed"


def test_runs_deleted_in_mlflow_are_not_brought_back(store: Store, full_journal: Journal) -> None:
    store.client.delete_run(send(store, full_journal))
    assert sync([store.root], store).deleted == [str(full_journal.path)]
    assert store.client.search_runs(["1"]) == []


def test_a_store_out_of_reach_is_one_clear_error(tmp_path: Path, closed_port: int) -> None:
    with pytest.raises(UserError, match=r"127.0.0.1:\d+: MLflow can not be reached \(ConnectionRefusedError"):
        sync([tmp_path], Store(f"http://127.0.0.1:{closed_port}", tmp_path))
