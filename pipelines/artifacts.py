"""What a flow publishes in Prefect's UI: plan, progress, MLflow runs, leaderboard, report, links."""

from __future__ import annotations

import functools
import json
import os
import re
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ParamSpec
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.exceptions import PrefectException
from prefect.settings import get_current_settings

from pipelines.servers import addresses, answers, ask
from quintet.graph.duration import say_duration
from quintet.graph.plan import Plan
from quintet.graph.stages import Stage
from quintet.tracking.journal import RUN_KEY

_REPORT = Path("outputs", "report")


P = ParamSpec("P")


def server_answers() -> bool:
    """Whether Prefect's server is there: its client tries each request again for a minute."""
    return answers(f"{get_current_settings().api.url}/health")


def _while_the_server_answers(publish: Callable[P, None]) -> Callable[P, None]:
    """What is published is a picture of the run: without a server the stages go on, and do not wait for one."""

    @functools.wraps(publish)
    def publish_or_tell(*args: P.args, **kwargs: P.kwargs) -> None:
        if not server_answers():
            get_run_logger().debug("%s: Prefect's server does not answer", publish.__name__)
            return
        try:
            publish(*args, **kwargs)
        except (httpx.HTTPError, PrefectException) as error:
            get_run_logger().warning("%s: Prefect's server did not take it: %s", publish.__name__, error)

    return publish_or_tell


def publish_plan(plan: Plan, root: Path) -> None:
    """Which stages would run and why, and what that takes, before any of them does."""
    create_table_artifact(
        key="quintet-plan",
        table=plan.rows(),
        description="\n\n".join([plan.summary(), *plan.lacks(root)]) + "\n\nA stage that follows a changed one is "
        "cached after all if its inputs come out the same.",
    )


class Progress:
    """The progress bar of one flow run, with the time left."""

    def __init__(self, total: int) -> None:
        self._total = total
        artifact = create_progress_artifact(progress=0.0, key="quintet-progress", description=f"0 of {total} stages")
        assert isinstance(artifact, UUID)
        self._id = artifact

    @_while_the_server_answers
    def update(self, done: int, left: str) -> None:
        update_progress_artifact(
            artifact_id=self._id,
            progress=100.0 * done / self._total,
            description=f"{done} of {self._total} stages{f', about {left} left' if left else ''}",
        )


@_while_the_server_answers
def publish_results(root: Path) -> None:
    """Leaderboard, report and links, as far as the report stage has written them."""
    folder = root / _REPORT
    if (folder / "report.json").is_file():
        table = leaderboard_rows(json.loads((folder / "report.json").read_text()))
        if table:
            create_table_artifact(key="quintet-leaderboard", table=table, description="Leaderboard, best first")
    if (folder / "report.md").is_file():
        create_markdown_artifact(
            key="quintet-report", markdown=(folder / "report.md").read_text(), description="The report"
        )
    served = addresses(root)
    if (folder / "index.html").is_file():
        page = f"{served['report']}/index.html" if "report" in served else (folder / "index.html").as_uri()
        create_link_artifact(
            key="quintet-report-page", link=page, link_text="Open the report", description="The report as a page"
        )
    if mlflow := _mlflow_address(root):
        create_link_artifact(
            key="quintet-mlflow", link=mlflow, link_text="Open MLflow", description="Every run in MLflow"
        )


@_while_the_server_answers
def publish_runs(stage: Stage, root: Path) -> None:
    """Links to the MLflow runs that the stage's outputs belong to, if any; called in its task, where they show."""
    runs = stage_runs(stage)
    if not runs:
        return
    address = _mlflow_address(root)
    lines = [
        f"- {run['experiment']}, seed {run['seed']}: {_run_link(address, run)}"
        for run in sorted(runs, key=lambda run: (run["experiment"], run["seed"]))
    ]
    key = re.sub(r"[^a-z0-9]+", "-", stage.name.lower()).strip("-")
    create_markdown_artifact(key=f"runs-{key}", markdown="\n".join(lines), description=f"MLflow runs of {stage.name}")


def stage_runs(stage: Stage) -> list[dict[str, Any]]:
    """The records of the runs that a stage's outputs belong to: its own trainings, or those that it measured."""
    trained = [json.loads(file.read_text()) for out in stage.outs for file in out.rglob("run.json")]
    measured = [json.loads(file.read_text()) for out in stage.outs for file in out.rglob("evaluation.json")]
    return trained + [run for evaluation in measured for run in evaluation["runs"]]


def _run_link(address: str | None, run: Mapping[str, Any]) -> str:
    """Where MLflow at `address` shows the run. By its key: a store that was rebuilt has given it another id."""
    known = f"`{run['mlflow_run_id']}`" if run.get("mlflow_run_id") else f"run key `{run['run_key']}`"
    if address is None:
        return f"{known} (no MLflow server is running; `make ui` starts one)"
    login = _mlflow_login(address)
    api, by_name = f"{address}/api/2.0/mlflow", urllib.parse.urlencode({"experiment_name": run["task"]})
    try:
        experiment = ask(f"{api}/experiments/get-by-name?{by_name}", timeout_seconds=5, login=login)["experiment"][
            "experiment_id"
        ]
        wanted = {"experiment_ids": [experiment], "filter": f"tags.`{RUN_KEY}` = '{run['run_key']}'"}
        found = ask(f"{api}/runs/search", wanted, timeout_seconds=5, login=login).get("runs")
    except OSError as error:
        return f"{known} (MLflow at {address} did not answer: {error})"
    if not found:
        return f"{known}, not in MLflow at {address} yet: the report, or `quintet sync`, brings it there"
    run_id = found[0]["info"]["run_id"]
    return f"[{run_id}]({address}/#/experiments/{experiment}/runs/{run_id})"


def _mlflow_address(root: Path) -> str | None:
    """A server that shows the runs in a browser: the one that `ui` runs, else MLFLOW_TRACKING_URI without its login."""
    address = addresses(root).get("mlflow") or os.environ.get("MLFLOW_TRACKING_URI", "")
    return re.sub(r"(?<=://)[^/]*@", "", address).rstrip("/") if address.startswith("http") else None


def _mlflow_login(address: str) -> str | None:
    """The login for the server at MLFLOW_TRACKING_URI, as MLflow's client takes it; none for another server."""
    given = os.environ.get("MLFLOW_TRACKING_URI", "").rstrip("/")
    if re.sub(r"(?<=://)[^/]*@", "", given) != address:
        return None
    if inside := re.match(r"\w+://([^/]*)@", given):
        return urllib.parse.unquote(inside[1])
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}") for name in ("USERNAME", "PASSWORD"))
    return f"{user}:{password}" if user and password else None


def leaderboard_rows(report: Mapping[str, Any]) -> list[dict[str, str]]:
    """The report's leaderboard, a row per experiment, with the figures a reader compares first."""
    rows = []
    for entry in report.get("leaderboard", []):
        cost = entry.get("cost") or {}
        seconds = cost.get("train_seconds")
        rows.append(
            {
                "task": entry["task"],
                "data": entry["data"],
                "experiment": entry["experiment"],
                "family": entry["family"],
                "metric": entry["metric"],
                "value": f"{entry['value']:.4f}",
                "95 % interval": f"{entry['low']:.4f} to {entry['high']:.4f}",
                "best": "tied" if entry.get("tied_with_best") else "",
                "training": "" if seconds is None else say_duration(seconds),
            }
        )
    return rows
