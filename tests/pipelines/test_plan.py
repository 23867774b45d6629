import json
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
