import json
from pathlib import Path
from typing import Any

import pytest

from quintet.graph.cost import Cost, expected_costs, read_measured, record_measured
from quintet.graph.stages import Graph, Stage
from quintet.tracking.journal import Journal

ROOT = Path(__file__).parents[2]


def test_remembers_what_stages_took_across_runs(tmp_path: Path) -> None:
    assert read_measured(tmp_path) == {}
    record_measured(tmp_path, {"train@a": Cost(3.0, 200.0), "report": Cost(1.0)})
    record_measured(tmp_path, {"train@a": Cost(4.0, 300.0)})
    assert read_measured(tmp_path) == {"train@a": Cost(4.0, 300.0), "report": Cost(1.0)}


def test_a_new_stage_is_expected_to_take_what_its_group_does(tmp_path: Path) -> None:
    stages = Graph({n: Stage(n, (), "true", Path(), ()) for n in ("train@a", "train@new", "claim@x")})
    record_measured(tmp_path, {"train@a": Cost(10.0, 100.0), "train@b": Cost(20.0), "train@gone": Cost(60.0)})
    assert expected_costs(tmp_path, stages) == {
        "train@a": Cost(10.0, 100.0),
        "train@new": Cost(20.0, 100.0),
        "claim@x": Cost(),
    }


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Path, Graph]:
    """The smoke suite with a training of digits-lenet in its outputs: two seeds of 30 s, two epochs each."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "suites/smoke.yaml").read_bytes())
    outs = tmp_path / "outputs/runs/digits-lenet/train"
    for seed in (0, 1):
        journal = Journal(outs / f"seed-{seed}" / "journal.jsonl")
        journal.start("run", experiment="classification")
        journal.metrics(0, {"system/process_memory_megabytes": 500.0 + seed})
        journal.close()
        record: dict[str, Any] = {"experiment": "digits-lenet", "train_seconds": 30.0, "epochs": 2, "steps": 20}
        record["budget"] = {"kind": "epochs", "allowed": 2, "used": 2}
        (outs / f"seed-{seed}" / "run.json").write_text(json.dumps(record))
    name = "train@digits-lenet"
    return tmp_path, Graph({name: Stage(name, (), "true", tmp_path, (outs,), outs_bytes=2_000_000)})


def test_records_in_the_outputs_tell_where_the_flow_never_ran(trained: tuple[Path, Graph]) -> None:
    assert expected_costs(*trained) == {"train@digits-lenet": Cost(60.0, 501.0, 2.0)}


@pytest.mark.parametrize(
    ("was", "now", "seconds"),
    [
        ("budget: {epochs: 2}", "budget: {epochs: 10}", 300.0),
        ("budget: {epochs: 2}", "budget: {steps: 100}", 300.0),
        ("budget: {epochs: 2}", "budget: {seconds: 7.5}", 15.0),
        ("seeds: [0, 1]", "seeds: [0, 1, 2]", 90.0),
    ],
)
def test_a_changed_budget_changes_the_time_in_proportion(
    trained: tuple[Path, Graph], was: str, now: str, seconds: float
) -> None:
    root, graph = trained
    text = (root / "params.yaml").read_text()
    assert was in text
    (root / "params.yaml").write_text(text.replace(was, now))
    assert expected_costs(root, graph)["train@digits-lenet"].seconds == pytest.approx(seconds)
    # What the flow measured beside the training is not multiplied.
    record_measured(root, {"train@digits-lenet": Cost(70.0)})
    assert expected_costs(root, graph)["train@digits-lenet"].seconds == pytest.approx(seconds + 10)
