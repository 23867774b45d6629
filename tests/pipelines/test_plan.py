import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.graph import Graph, Stage
from pipelines.plan import chain_seconds, expected_seconds, finish_times, read_durations, record_durations


def graph(**needs: tuple[str, ...]) -> Graph:
    return Graph({name: Stage(name, above, "true", Path(), ()) for name, above in needs.items()})


DIAMOND = graph(a=(), b=("a",), c=("a",), d=("b", "c"))
SECONDS = {"a": 1.0, "b": 5.0, "c": 3.0, "d": 2.0}


def test_remembers_durations_across_runs(tmp_path: Path) -> None:
    assert read_durations(tmp_path) == {}
    record_durations(tmp_path, {"train@a": 3.0, "report": 1.0})
    record_durations(tmp_path, {"train@a": 4.0})
    assert read_durations(tmp_path) == {"train@a": 4.0, "report": 1.0}


def test_a_new_stage_is_expected_to_take_what_its_group_does() -> None:
    stages = Graph({n: Stage(n, (), "true", Path(), ()) for n in ("train@a", "train@new", "claim@x")})
    recorded = {"train@a": 10.0, "train@b": 20.0, "train@gone": 60.0}
    assert expected_seconds(stages, recorded) == {"train@a": 10.0, "train@new": 20.0, "claim@x": None}


def test_run_records_tell_durations_where_the_flow_never_ran(tmp_path: Path) -> None:
    for seed in (0, 1):
        folder = tmp_path / "train" / f"seed-{seed}"
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({"train_seconds": 30.0}))
    stages = Graph({"train@a": Stage("train@a", (), "true", tmp_path, (tmp_path / "train",))})
    assert expected_seconds(stages, {}) == {"train@a": 60.0}


def test_chains_end_with_the_longest_way_down() -> None:
    assert chain_seconds(DIAMOND, SECONDS) == {"a": 8.0, "b": 7.0, "c": 5.0, "d": 2.0}


@pytest.mark.parametrize(
    ("slots", "ends"),
    [(1, {"a": 1, "b": 6, "c": 9, "d": 11}), (2, {"a": 1, "b": 6, "c": 4, "d": 8})],
)
def test_finish_times_follow_edges_and_slots(slots: int, ends: dict[str, float]) -> None:
    assert finish_times(DIAMOND, SECONDS, slots) == ends


def test_finish_times_count_what_is_done_and_what_runs() -> None:
    assert finish_times(DIAMOND, {"b": 2.0, "c": 3.0, "d": 2.0}, slots=2, running=["b"]) == {"b": 2, "c": 3, "d": 5}
    assert finish_times(DIAMOND, {}, slots=2) == {}


def test_a_stage_that_wants_all_slots_runs_alone() -> None:
    stages = Graph({n: Stage(n, (), "true", Path(), (), cpus=c) for n, c in {"big": 9, "small": 1}.items()})
    assert finish_times(stages, {"big": 4.0, "small": 1.0}, slots=2) == {"big": 4, "small": 5}


def test_the_command_says_what_would_run_why_and_what_does_not_fit(repository: Path) -> None:
    record_durations(repository, {"prepare": 60.0, "train@b": 7200.0, "report": 30.0})
    command = [sys.executable, "-m", "pipelines", "--root", str(repository), "plan", "--budget", "1h", "--slots", "1"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split()[:4] == ["prepare", "run", "1", "min"]
    # train@a never ran: it should take what the other training does.
    assert lines[4] == "4 of 4 stages to run, at most 4 h 01 min with 1 slot"
    assert lines[5] == "does not fit in 1 h 00 min: train@a would end after 2 h 01 min"
    assert len([line for line in lines if line.startswith("does not fit")]) == 3
    assert not (repository / "dvc.lock").exists()
