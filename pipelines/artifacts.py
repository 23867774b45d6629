"""What a flow publishes in Prefect's UI: plan, progress, leaderboard, report, links."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from pipelines.duration import say_duration
from pipelines.graph import Graph
from pipelines.plan import plan_rows
from pipelines.servers import addresses

_REPORT = Path("outputs", "report")


def publish_plan(graph: Graph, reasons: Mapping[str, str], expected: Mapping[str, float | None]) -> None:
    """Which stages would run and why, before any of them does."""
    create_table_artifact(
        key="quintet-plan",
        table=plan_rows(graph, reasons, expected),
        description="What this run has to do. A stage that follows a changed one is cached after all if its inputs "
        "come out the same, and one that was run before in just this way is restored from DVC's cache.",
    )


class Progress:
    """The progress bar of one flow run, with the time left."""

    def __init__(self, total: int) -> None:
        self._total = total
        artifact = create_progress_artifact(progress=0.0, key="quintet-progress", description=f"0 of {total} stages")
        assert isinstance(artifact, UUID)
        self._id = artifact

    def update(self, done: int, left: str) -> None:
        update_progress_artifact(
            artifact_id=self._id,
            progress=100.0 * done / self._total,
            description=f"{done} of {self._total} stages{f', about {left} left' if left else ''}",
        )


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
    mlflow = served.get("mlflow") or os.environ.get("MLFLOW_TRACKING_URI", "")
    if mlflow.startswith("http"):
        create_link_artifact(
            key="quintet-mlflow", link=mlflow, link_text="Open MLflow", description="Every run in MLflow"
        )


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
