from pathlib import Path

from pipelines.schedule import Schedule
from quintet.graph.plan import reasons_to_run
from quintet.graph.stages import Graph, Stage

NEEDS: dict[str, tuple[str, ...]] = {
    "prepare": (),
    "train@a": ("prepare",),
    "train@b": ("prepare",),
    "evaluate@a": ("train@a",),
    "evaluate@b": ("train@b",),
    "report": ("evaluate@a", "evaluate@b"),
}
GRAPH = Graph({n: Stage(n, needs, "true", Path(), (), always=n == "report") for n, needs in NEEDS.items()})


def steps(schedule: Schedule) -> dict[str, str]:
    return {step.stage.name: step.how for step in schedule.ready()}


def do(schedule: Schedule, name: str, result: str) -> None:
    assert name in steps(schedule)
    schedule.start(name)
    schedule.settle(name, result)  # type: ignore[arg-type]


def test_a_stage_waits_for_all_it_needs() -> None:
    schedule = Schedule(GRAPH, dict.fromkeys(NEEDS, "changed"))
    assert steps(schedule) == {"prepare": "repro"}
    schedule.start("prepare")
    assert steps(schedule) == {}
    schedule.settle("prepare", "ran")
    assert steps(schedule) == {"train@a": "repro", "train@b": "repro"}


def test_what_nothing_stale_is_above_is_cached_without_asking_dvc_again() -> None:
    schedule = Schedule(GRAPH, reasons_to_run(GRAPH, {"train@b": "lr modified"}))
    do(schedule, "prepare", "cached")
    assert steps(schedule) == {"train@a": "cached", "train@b": "repro"}
    do(schedule, "train@b", "ran")
    assert steps(schedule)["evaluate@b"] == "repro"


def test_a_failure_stops_only_what_depends_on_it_and_the_report_is_still_made() -> None:
    schedule = Schedule(GRAPH, dict.fromkeys(NEEDS, "changed"))
    do(schedule, "prepare", "ran")
    do(schedule, "train@a", "failed")
    assert steps(schedule) == {"train@b": "repro", "evaluate@a": "skip"}
    do(schedule, "evaluate@a", "skipped")
    do(schedule, "train@b", "ran")
    do(schedule, "evaluate@b", "ran")
    (report,) = schedule.ready()
    assert (report.how, report.missing) == ("incomplete", ("train@a", "evaluate@a"))
    do(schedule, "report", "ran")
    assert schedule.finished


def test_fail_fast_starts_nothing_more_but_the_report() -> None:
    schedule = Schedule(GRAPH, dict.fromkeys(NEEDS, "changed"), keep_going=False)
    do(schedule, "prepare", "ran")
    do(schedule, "train@a", "failed")
    assert steps(schedule) == {"train@b": "skip", "evaluate@a": "skip"}
    assert {step.why for step in schedule.ready()} == {"train@a failed", "stopped at the first failure, train@a"}
    for name in ("train@b", "evaluate@a", "evaluate@b"):
        do(schedule, name, "skipped")
    assert steps(schedule) == {"report": "incomplete"}
