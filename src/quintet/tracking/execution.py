"""One run per execution of the pipeline in MLflow, the parent of the trainings it did.

A run has one parent: the execution that trained it, or finished training it. A later execution that reuses the run
from DVC's cache compares it in its report and leaves it where it is. The parent is made by whichever journal of
the execution is sent first, from what that journal says, so it can be rebuilt from the journals like all else; its
status is that of its children and the report's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from quintet.tracking.journal import RUN_KEY, Event, Status
from quintet.tracking.provenance import EXECUTION
from quintet.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run

PIPELINE = "pipeline"
PARENT = "mlflow.parentRunId"
_REPORT = "report"
_PASSED_ON = ("git.commit", "git.dirty", "prefect.flow_run_id")


def parent_of(store: Store, start: Event, more: Mapping[str, str]) -> str | None:
    """MLflow's id of the execution that a journal's start event belongs to; made, with tags `more`, if it is not there.

    None if the journal does not know of an execution, or is the execution's own.
    """
    execution = start["tags"].get(EXECUTION)
    if not execution or start["experiment"] == PIPELINE:
        return None
    with store.lock:
        run = store.find(PIPELINE, execution)
        if run is None:
            known = {name: start["tags"][name] for name in _PASSED_ON if name in start["tags"]}
            tags = {**known, **more, RUN_KEY: execution, EXECUTION: execution}
            experiment_id, name = store.experiment_id(PIPELINE), run_name(execution)
            run = store.client.create_run(experiment_id, start_time=start["at"], tags=tags, run_name=name)
    return str(run.info.run_id)


def run_name(execution: str) -> str:
    """What an execution is called in MLflow."""
    return f"{PIPELINE}-{execution[:8]}"


def settle(store: Store, run_id: str, report: Status | None = None, at: int = 0) -> None:
    """Give an execution the status of what ran in it: as long as something runs, 'RUNNING', then the worst of them.

    `report` is the status of the execution's own report, which ended `at`. An execution that has neither a report
    nor a training any more, since at that time another went on with what it left, had been killed if it did not end.
    One of two runs for the same execution (two machines may make it at once) goes when it has no training any more.
    """
    client = store.client
    with store.lock:
        run = client.get_run(run_id)
        if run.info.lifecycle_stage == "deleted":
            return
        if report:
            client.set_tag(run_id, _REPORT, report)
        found = children(store, run_id)
        other = None if found else store.find(PIPELINE, run.data.tags[EXECUTION])
        if other is not None and other.info.run_id != run_id:
            client.delete_run(run_id)
            return
        known = [report or run.data.tags.get(_REPORT), *(child.info.status for child in found)]
        statuses = set(filter(None, known)) or {"KILLED" if run.info.status == "RUNNING" else run.info.status}
        if "RUNNING" in statuses:
            client.update_run(run_id, status="RUNNING")
            return
        ends = [child.info.end_time or 0 for child in found] + [run.info.end_time or 0]
        worst = next(status for status in ("FAILED", "KILLED", "FINISHED") if status in statuses)
        client.set_terminated(run_id, worst, end_time=max([*ends, at] if report else ends) or at)


def children(store: Store, run_id: str) -> list[Run]:
    """The trainings of an execution."""
    experiments = [e.experiment_id for e in store.client.search_experiments()]
    found: list[Any] = []
    token = None
    while True:
        page = store.client.search_runs(experiments, f"tags.`{PARENT}` = '{run_id}'", page_token=token)
        found += page
        token = page.token
        if not token:
            return found
