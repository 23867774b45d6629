"""The flow on scratch repositories, as a user starts it, against a Prefect server of the tests' own."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

CODE = Path(__file__).parents[2]
Edit = Callable[[str, str, str], None]


def runs(root: Path) -> list[str]:
    """The stages that ran, in the order in which they started."""
    file = root / "started"
    return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []


def processes_in(root: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(root) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_until(true: Callable[[], object], seconds: float = 60.0) -> float:
    """Seconds until it came true."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "it did not come about in time"
        time.sleep(0.05)
    return time.monotonic() - began


def test_runs_what_is_stale_and_then_nothing(repository: Path, edit: Edit, server: Any) -> None:
    first = server.flow(repository, "--slots", "2")
    assert first.status == 0, first.said
    assert first.states() == dict.fromkeys(["prepare", "train@a", "train@b", "report"], "Ran")
    assert first.message.startswith("4 ran: prepare ")
    assert (repository / "report.txt").read_text() == "raw\nprepare\ntrain@a\nraw\nprepare\ntrain@b\nreport\n"
    assert len(runs(repository)) == 4

    again = server.flow(repository)
    assert again.states() == dict.fromkeys(["prepare", "train@a", "train@b", "report"], "Cached")
    assert again.message.startswith("4 cached: ")

    edit("params.yaml", "a: {seconds: 0", "a: {seconds: 0.1")
    changed = server.flow(repository)
    # The report's inputs come out the same, so DVC finds it unchanged.
    assert changed.states() == {"prepare": "Cached", "train@a": "Ran", "train@b": "Cached", "report": "Cached"}
    assert sorted(runs(repository)) == ["prepare", "report", "train@a", "train@a", "train@b"]


def test_a_failed_stage_stops_only_its_dependents_and_the_report_says_what_lacks(
    repository: Path, edit: Edit, server: Any
) -> None:
    edit("params.yaml", "a: {seconds: 0, status: 0", "a: {seconds: 0, status: 1")
    edit(
        "dvc.yaml", "  report:", "  evaluate:\n    cmd: cp out/a.txt e\n    deps: [out/a.txt]\n    outs: [e]\n  report:"
    )
    ended = server.flow(repository)
    assert ended.status == 1
    expected = {"prepare": "Ran", "train@a": "Failed", "train@b": "Ran", "evaluate": "Skipped", "report": "Ran"}
    assert ended.states() == expected
    assert "1 skipped: evaluate (train@a failed)" in ended.message
    assert "step report without train@a" in ended.said
    assert (repository / "report.txt").read_text() == "raw\nprepare\ntrain@b\nreport\n"
    # DVC was not told, so nobody takes the report with the gap for the finished one.
    assert "report" not in yaml.safe_load((repository / "dvc.lock").read_text())["stages"]
    assert server.newest_run()["state_name"] == "Failed"

    edit("params.yaml", "status: 1", "status: 0")
    assert server.flow(repository).status == 0
    assert "train@a" in (repository / "report.txt").read_text()


def test_fail_fast_starts_nothing_more(repository: Path, edit: Edit, server: Any) -> None:
    edit("params.yaml", "a: {seconds: 0, status: 0", "a: {seconds: 0, status: 1")
    edit("dvc.yaml", "meta: {always: true}", "meta: {}")
    states = server.flow(repository, "--fail-fast", "--slots", "1").states()
    assert states == {"prepare": "Ran", "train@a": "Failed", "train@b": "Skipped", "report": "Skipped"}


def test_named_stages_bring_what_they_need_and_force_runs_only_them(repository: Path, server: Any) -> None:
    assert set(server.flow(repository, "--stages", "train@a").states()) == {"prepare", "train@a"}
    forced = server.flow(repository, "--stages", "train@a", "--force")
    assert forced.states() == {"prepare": "Cached", "train@a": "Ran"}


@pytest.mark.slow
def test_slots_bound_what_runs_at_a_time_and_set_its_threads(repository: Path, edit: Edit, server: Any) -> None:
    edit("params.yaml", "a: {seconds: 0, status: 0, cpus: 1}", "a: {seconds: 3, status: 0, cpus: 2}")
    edit("params.yaml", "b: {seconds: 0, status: 0, cpus: 1}", "b: {seconds: 3, status: 0, cpus: 1}")

    def apart(slots: int) -> float:
        """Seconds between the starts of the two trainings."""
        server.flow(repository, "--slots", str(slots), "--stages", "train", "--force")
        a, b = (repository / "started").read_text().splitlines()[-2:]
        return abs(float(a.split()[2]) - float(b.split()[2]))

    assert apart(slots=2) > 3
    assert apart(slots=3) < 3
    threads = [line.split()[:2] for line in (repository / "started").read_text().splitlines()]
    assert ["train@a", "2"] in threads
    assert ["train@b", "1"] in threads


def test_each_stage_has_its_own_log(repository: Path, server: Any) -> None:
    server.flow(repository, "--stages", "train@a")
    run = server.newest_run()["id"]
    tasks = {r["name"]: r["id"] for r in server.ask("task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})}
    logs = server.ask("logs/filter", {"logs": {"task_run_id": {"any_": [tasks["train@a"]]}}, "sort": "TIMESTAMP_ASC"})
    messages = [log["message"] for log in logs]
    assert messages[0] == "Running stage 'train@a':"
    assert "step train@a without nothing" in messages
    assert "step prepare without nothing" not in messages


def test_publishes_plan_progress_leaderboard_and_report(repository: Path, edit: Edit, server: Any) -> None:
    folder = repository / "outputs" / "report"
    folder.mkdir(parents=True)
    row = {
        "task": "classification", "data": "digits", "experiment": "lenet", "family": "cnn", "metric": "accuracy",
        "value": 0.98123, "low": 0.97, "high": 0.99, "tied_with_best": True, "cost": {"train_seconds": 75.0},
    }  # fmt: skip
    (folder / "report.json").write_text(json.dumps({"leaderboard": [row]}))
    (folder / "report.md").write_text("# The comparison\n")
    (folder / "index.html").write_text("<p>report</p>")
    server.flow(repository)
    plan = {row["stage"]: row for row in server.artifact("quintet-plan")}
    assert plan["train@a"]["will"] == "run"
    assert "data.txt" in plan["train@a"]["why"]
    assert server.artifact("quintet-progress") == 100
    (line,) = server.artifact("quintet-leaderboard")
    assert (line["experiment"], line["value"], line["training"]) == ("lenet", "0.9812", "1 min 15 s")
    assert server.artifact("quintet-report") == "# The comparison\n"
    assert (folder / "index.html").as_uri() in server.artifact("quintet-report-page")

    edit("params.yaml", "b: {seconds: 0", "b: {seconds: 0.1")
    server.flow(repository)
    plan = {row["stage"]: row for row in server.artifact("quintet-plan")}
    assert [name for name, row in plan.items() if row["will"] == "run"] == ["train@b", "report"]
    assert "models.b" in plan["train@b"]["why"]
    assert plan["train@b"]["time"].endswith(" s")
    assert plan["train@b"]["memory"].endswith(" MB")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--stages", "trian"], "stages: unknown stage 'trian'; did you mean 'train'?"),
        (["--slots", "0"], "slots: 0 is too few"),
        (["--suite", "smok"], "suites: unknown suite 'smok'"),
    ],
)
def test_a_mistake_ends_in_one_line_before_anything_starts(
    repository: Path, server: Any, options: list[str], message: str
) -> None:
    ended = server.flow(repository, *options)
    assert ended.status == 2
    assert ended.said.startswith(message)
    assert ended.said.count("\n") == 1


def test_a_stage_that_could_never_run_fails_the_flow_before_any_does(repository: Path, edit: Edit, server: Any) -> None:
    edit("dvc.yaml", "gpus: 0", "gpus: 99")
    ended = server.flow(repository)
    assert ended.status == 1
    assert ended.message.startswith("dvc.yaml: train@a: meta.gpus: 99 asked for")
    assert runs(repository) == []


def test_two_flows_do_not_share_a_workspace(repository: Path, server: Any) -> None:
    from filelock import FileLock

    (repository / ".prefect").mkdir()
    with FileLock(repository / ".prefect" / "flow.lock"):
        ended = server.flow(repository)
    assert ended.status == 1
    assert "another flow is running here" in ended.message
    assert runs(repository) == []


@pytest.mark.parametrize("by", ["ctrl-c", "term"])
def test_a_signal_ends_the_processes_and_a_new_run_goes_on(repository: Path, edit: Edit, server: Any, by: str) -> None:
    edit("params.yaml", "a: {seconds: 0", "a: {seconds: 100")
    process = server.start_flow(repository)
    wait_until(lambda: "train@a" in runs(repository))
    process.send_signal(signal.SIGINT if by == "ctrl-c" else signal.SIGTERM)
    assert wait_until(lambda: not processes_in(repository)) < 30
    out, _ = process.communicate()
    assert process.returncode == 130
    # A bare TERM is somebody's kill, not a cancellation, and Prefect calls it so.
    assert server.newest_run()["state_name"] == ("Crashed" if by == "term" else "Cancelled")
    assert by == "term" or "stopped: train@a" in out
    assert "train@a" not in (repository / "dvc.lock").read_text()

    edit("params.yaml", "a: {seconds: 100", "a: {seconds: 0")
    after = server.flow(repository).states()
    assert after["train@a"] == "Ran"
    assert after["prepare"] == "Cached"


@pytest.mark.slow
def test_24_stages_at_once_in_12_slots_keep_the_lock_file_whole(repository: Path, server: Any) -> None:
    models = {f"m{i}": {"seconds": 0, "status": 0, "cpus": 1} for i in range(24)}
    (repository / "params.yaml").write_text(yaml.safe_dump({"models": models}))
    text = (repository / "dvc.yaml").read_text()
    (repository / "dvc.yaml").write_text(text[: text.index("  report:")])
    ended = server.flow(repository, "--slots", "12")
    assert ended.status == 0, ended.said
    assert "acquire lock" not in ended.said
    assert ended.message.startswith("25 ran: ")
    stages = yaml.safe_load((repository / "dvc.lock").read_text())["stages"]
    assert set(stages) == {"prepare", *(f"train@{model}" for model in models)}
    assert len(runs(repository)) == 25
    assert server.flow(repository).message.startswith("25 cached: ")


def test_the_suite_named_is_put_in_force_unless_edits_would_be_lost(repository: Path, server: Any) -> None:
    (repository / "suites").mkdir()
    suite = (CODE / "suites" / "smoke.yaml").read_text()
    (repository / "suites" / "mine.yaml").write_text(suite.replace("suite: smoke", "suite: mine"))
    (repository / "dvc.yaml").write_text(
        "stages:\n  say:\n    cmd: echo ${suite} > said.txt\n    outs: [said.txt]\n    params: [suite]\n"
    )
    refused = server.flow(repository, "--suite", "mine")
    assert refused.status == 1
    assert refused.message.startswith("params.yaml: has edits that are saved nowhere and would be lost")

    (repository / "params.yaml").unlink()
    assert server.flow(repository, "--suite", "mine").states() == {"say": "Ran"}
    assert (repository / "said.txt").read_text() == "mine\n"
