"""Stage report: compare everything that was evaluated, and name the champion of each task."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from quintet.checking import validate
from quintet.config import Evaluation
from quintet.errors import UserError
from quintet.report import build, leaderboard_text
from quintet.serving import can_serve
from quintet.stages import declared
from quintet.tasks import TASKS
from quintet.tracking.champion import Candidate, contend
from quintet.tracking.journal import FILE_NAME, Journal
from quintet.tracking.projector import Projector
from quintet.tracking.provenance import provenance
from quintet.tracking.store import Store, reason

log = logging.getLogger(__name__)

OUTPUTS = Path("outputs")
# Where trainings that were interrupted wait to go on.
WORK_IN_PROGRESS = Path(".scratch")
TARGET = OUTPUTS / "report"


def report() -> None:
    """Write outputs/report from what runs left in outputs, and register the champions in MLflow."""
    shown = declared.parameters("report")
    measuring = validate(Evaluation, shown.get("evaluation", {}), declared.plain_where, "evaluation")
    made = build(
        OUTPUTS,
        TARGET,
        suite=shown["suite"],
        experiments=list(shown.get("experiments", {})),
        pretraining=list(shown.get("pretraining", {})),
        finetuning=list(shown.get("finetuning", {})),
        baselines=list(shown["baselines"]),
        # The flow makes the report even if stages failed, and says which.
        failed=[name for name in os.environ.get("QUINTET_MISSING_STAGES", "").split(",") if name],
        resamples=measuring.resamples,
        level=measuring.confidence,
    )
    _track(made)
    try:
        store = Store()
        tag_suite(made, store)
        for verdict in register_champions(made, store):
            log.info("%s", verdict)
    except Exception as e:  # the report stands without a store
        log.warning("The champions could not be registered in MLflow (%s); `quintet sync` does it later.", reason(e))


def _track(made: dict[str, Any]) -> None:
    """Keep the report in MLflow, as a run of its own."""
    journal = Journal(TARGET / FILE_NAME)
    tags = {**provenance(Path.cwd()), "suite": made["suite"]}
    journal.start(f"report-{made['suite']}", experiment="report", tags=tags)
    for name in ("index.html", "report.md", "report.json"):
        journal.artifact(TARGET / name)
    journal.end("FINISHED")
    Projector(journal, system_every=None).close()
    journal.close()


def tag_suite(made: dict[str, Any], store: Store) -> None:
    """Mark the compared runs with the suite; training does not know it, so that changing suites trains nothing anew."""
    for name, found in made["provenance"].items():
        for run in found["runs"]:
            known = store.find(name.partition("/")[0], run["run_key"])
            if known is not None and known.data.tags.get("suite") != made["suite"]:
                store.client.set_tag(known.info.run_id, "suite", made["suite"])


def register_champions(made: dict[str, Any], store: Store) -> list[str]:
    """For each task and data set, let the experiment that validation chose contend for the alias 'champion'.

    Of its seeds the one with the best validation metric is served; the test split has no say in it. Returns the
    verdicts, a line each.
    """
    verdicts = []
    for answer in made["answers"]:
        experiment, task = answer["champion"], answer["task"]
        if experiment is None or not any(can_serve(task, kind) for kind in TASKS[task].kinds):
            continue
        row = next(r for r in made["leaderboard"] if (r["experiment"], r["data"]) == (experiment, answer["data"]))
        runs = made["provenance"][f"{answer['task']}/{answer['data']}/{experiment}"]["runs"]
        sign = 1 if row["direction"] == "max" else -1
        best = max(runs, key=lambda run: (sign * run["best"]["value"], -run["best"]["loss"]))
        run = store.find(best["task"], best["run_key"])
        if run is None:
            raise UserError(str(store), f"has no run of {experiment}, seed {best['seed']}", "run: quintet sync")
        candidate = Candidate(
            task=answer["task"],
            data=answer["data"],
            experiment=experiment,
            run_id=run.info.run_id,
            digest=row["data_digest"],
            rows=_validation_rows(experiment, [run["seed"] for run in runs]),
            higher_is_better=row["direction"] == "max",
            tags={
                "seed": str(best["seed"]),
                "quintet.run_key": best["run_key"],
                f"validation_{best['best']['metric']}": f"{best['best']['value']:.6g}",
            },
        )
        verdicts.append(contend(store, candidate))
    return verdicts


def _validation_rows(experiment: str, seeds: list[int]) -> pa.Table:
    """Score of each validation example, for every seed."""
    tables = []
    for seed in seeds:
        table = pq.read_table(OUTPUTS / "runs" / experiment / "train" / f"seed-{seed}" / "validation.parquet")
        tables.append(
            table.select(["id", "score", "weight"]).append_column("seed", pa.array([seed] * len(table), pa.int64()))
        )
    return pa.concat_tables(tables)


def leaderboard() -> str:
    """The last report's leaderboard and where to find the page; raises `UserError` if there is none."""
    file = TARGET / "report.json"
    try:
        made = json.loads(file.read_text(encoding="utf8"))
    except FileNotFoundError:
        raise UserError(str(file), "there is no report yet", "run: dvc repro") from None
    return f"{leaderboard_text(made)}\n\nReport: {(TARGET / 'index.html').resolve()}"


def sync() -> str:
    """Bring MLflow up to date with all runs in outputs; returns what was done."""
    from quintet.tracking.sync import sync as send

    store = Store()
    summary = send([OUTPUTS, WORK_IN_PROGRESS], store)
    verdicts: list[str] = []
    file = TARGET / "report.json"
    if file.exists():
        made = json.loads(file.read_text(encoding="utf8"))
        tag_suite(made, store)
        verdicts = register_champions(made, store)
    failed = [f"  {journal}: {why}" for journal, why in summary.failed.items()]
    return "\n".join([f"MLflow at {store}: {summary}", *failed, *verdicts])
