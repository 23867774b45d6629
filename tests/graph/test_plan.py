import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from quintet.graph.cost import Cost, record_measured
from quintet.graph.plan import Plan, chain_seconds, finish_times, make_plan, reasons_to_run, say_megabytes, text
from quintet.graph.stages import Graph, Stage

Edit = Callable[[str, str, str], None]

# DVC's own index does this in pygtrie.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")


def graph(**needs: tuple[str, ...]) -> Graph:
    return Graph({name: Stage(name, above, "true", Path(), ()) for name, above in needs.items()})


DIAMOND = graph(a=(), b=("a",), c=("a",), d=("b", "c"))
SECONDS = {"a": 1.0, "b": 5.0, "c": 3.0, "d": 2.0}


def test_chains_end_with_the_longest_way_down() -> None:
    costs = {name: Cost(seconds) for name, seconds in SECONDS.items()}
    assert chain_seconds(DIAMOND, costs) == {"a": 8.0, "b": 7.0, "c": 5.0, "d": 2.0}


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


def test_force_runs_what_is_named_and_lets_dvc_judge_what_follows() -> None:
    assert reasons_to_run(DIAMOND, {}, force={"b"}) == {"b": "forced", "d": "after b"}
    assert reasons_to_run(DIAMOND, {}) == {}


def test_memory_is_that_of_what_runs_at_the_same_time_and_disk_that_of_all() -> None:
    costs = {name: Cost(seconds, 100.0, 10.0) for name, seconds in SECONDS.items()}
    costs["d"] = Cost(2.0, 150.0, 10.0)
    reasons = dict.fromkeys(SECONDS, "changed")
    assert Plan(DIAMOND, frozenset(), reasons, frozenset(), costs, 2).memory_mb() == 200
    assert Plan(DIAMOND, frozenset(), reasons, frozenset(), costs, 1).memory_mb() == 150
    assert Plan(DIAMOND, frozenset(), reasons, frozenset({"a"}), costs, 1).disk_mb() == 30


def test_says_what_neither_memory_nor_disk_can_hold(tmp_path: Path) -> None:
    costs = dict.fromkeys("abcd", Cost(1.0, 1e9, 1e12))
    plan = Plan(DIAMOND, frozenset(), {"a": "changed"}, frozenset(), costs, 1)
    memory, disk = plan.lacks(tmp_path)
    assert memory.startswith("does not fit: 1000000.0 GB of memory needed, ")
    assert disk.startswith("does not fit: 1000000000.0 GB of disk needed, ")


@pytest.mark.parametrize(("size", "said"), [(0.25, "0.2 MB"), (420.4, "420 MB"), (1600.0, "1.6 GB")])
def test_sizes_read_well(size: float, said: str) -> None:
    assert say_megabytes(size) == said


def test_the_command_says_what_would_run_why_and_what_does_not_fit(repository: Path) -> None:
    costs = {"prepare": Cost(60.0, 300.0), "train@b": Cost(7200.0, 700.0), "report": Cost(30.0, 100.0)}
    record_measured(repository, costs)
    command = [sys.executable, "-m", "quintet", "plan", "--budget", "1h", "--slots", "1"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1].split()[:6] == ["prepare", "run", "1", "min", "00", "s"]
    assert "data.txt deleted" in lines[1]
    # train@a never ran: it should take what the other training does. Of disk nothing is known.
    assert lines[2].split()[:8] == ["train@a", "run", "2", "h", "00", "min", "700", "MB"]
    assert lines[5].startswith("4 of 4 stages to run: at most 4 h 01 min with 1 slot; 700 MB of memory at a time")
    assert lines[6] == "does not fit in 1 h 00 min: train@a would end after 2 h 01 min"
    assert len([line for line in lines if line.startswith("does not fit")]) == 3
    assert not (repository / "dvc.lock").exists()


def test_tells_what_dvc_will_restore_and_what_outputs_measured(repository: Path, edit: Edit) -> None:
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], cwd=repository, check=True)
    assert make_plan(repository).summary() == "0 of 4 stages to run"
    edit("params.yaml", "b: {seconds: 0", "b: {seconds: 0.1")
    changed = make_plan(repository, slots=2)
    assert set(changed.reasons) == {"train@b", "report"}
    assert changed.expected["train@b"].disk_mb == (repository / "out" / "b.txt").stat().st_size / 1e6
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], cwd=repository, check=True)
    edit("params.yaml", "b: {seconds: 0.1", "b: {seconds: 0")
    undone = make_plan(repository, slots=2)
    assert undone.restored == {"train@b"}
    assert "be restored" in text(undone)
    assert undone.summary().startswith("1 of 4 stages to run, 1 to be restored: at most ")
