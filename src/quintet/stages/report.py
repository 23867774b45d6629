"""Stage report: compare everything that was evaluated, and name the champion of each task."""

from __future__ import annotations

import json
import logging
import os
import uuid
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
from quintet.stages.locked import locked
from quintet.tasks import TASKS
from quintet.tracking.champion import Candidate, contend
from quintet.tracking.execution import PIPELINE, run_name
from quintet.tracking.journal import FILE_NAME, RUN_KEY, Journal, read
from quintet.tracking.projection import project
from quintet.tracking.provenance import EXECUTION, provenance
from quintet.tracking.store import Store, reason
from quintet.tracking.sync import PLACES, Summary, remember, up_to_date
from quintet.tracking.sync import sync as send

log = logging.getLogger(__name__)

OUTPUTS = Path("outputs")
TARGET = OUTPUTS / "report"


def report() -> None:
    """Write outputs/report from what runs left in outputs, bring MLflow up to date and register the champions there."""
    shown = declared.parameters("report")
    measuring = validate(Evaluation, shown.get("evaluation", {}), declared.plain_where, "evaluation")
    store, tags = Store(), provenance(Path.cwd())
    # By hand, outside of DVC and Prefect, the report is an execution of its own.
    execution = tags.setdefault(EXECUTION, uuid.uuid4().hex)
    sent: Summary | None = None
    try:
        sent = send(PLACES, store, execution)
    except UserError as e:  # the report stands without a store
        log.warning("MLflow can not be written to: %s. `quintet sync` sends what is missing later.", e)
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
        run_ids=sent.run_ids if sent else {},
    )
    journal = _record(made, tags)
    if sent is None:
        return
    try:
        project(store, journal)
        tag_runs(made, store)
        for verdict in register_champions(made, store):
            log.info("%s", verdict)
    except Exception as e:
        log.warning("MLflow at %s can not be written to (%s); `quintet sync` does it later.", store, reason(e))
        return
    for failed, why in sent.failed.items():
        log.warning("MLflow lacks what %s holds: %s", failed, why)
    if not sent.failed:
        remember(Path(), store)


def _record(made: dict[str, Any], tags: dict[str, str]) -> Path:
    """Write the journal of the report, which belongs to the run of this execution of the pipeline."""
    # Where DVC does not run this, it does not clear the outputs either.
    (TARGET / FILE_NAME).unlink(missing_ok=True)
    journal, execution = Journal(TARGET / FILE_NAME), tags[EXECUTION]
    trained_in = _executions()
    compared = [trained_in.get(run["run_key"]) for found in made["provenance"].values() for run in found["runs"]]
    counts = {"runs.compared": str(len(compared)), "runs.trained_here": str(compared.count(execution))}
    tags |= {RUN_KEY: execution, "suite": made["suite"], **counts}
    journal.start(run_name(execution), experiment=PIPELINE, tags=tags)
    for name in ("index.html", "report.md", "report.json"):
        journal.artifact(TARGET / name)
    journal.end("FAILED" if made["missing"] else "FINISHED")
    journal.close()
    return journal.path


def _executions() -> dict[str, str]:
    """For each run in outputs, by its key, the execution that finished training it."""
    found = {}
    for file in OUTPUTS.rglob(FILE_NAME):
        for event in read(file):
            if event["event"] == "start" and EXECUTION in event["tags"]:
                found[event["tags"][RUN_KEY]] = event["tags"][EXECUTION]
    return found


def tag_runs(made: dict[str, Any], store: Store) -> None:
    """Mark the compared runs with what training does not know: the suite, and what dvc.lock has on their stage.

    Training is not told the suite, so that changing suites trains nothing anew, and DVC writes its entry afterwards.
    """
    known = {}
    for found in made["provenance"].values():
        for run in found["runs"]:
            in_store = store.find(run["task"], run["run_key"])
            if in_store is not None:
                known[in_store.info.run_id] = (run["dvc_stage"], in_store.data.tags)
    entries = locked({stage for stage, tags in known.values() if "dvc.lock" not in tags})
    for run_id, (stage, tags) in known.items():
        wanted = {"suite": made["suite"]} | ({"dvc.lock": entries[stage]} if stage in entries else {})
        for name, value in wanted.items():
            if tags.get(name) != value:
                store.client.set_tag(run_id, name, value)


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
    store = Store()
    if up_to_date(Path(), store):
        return f"MLflow at {store}: nothing new"
    summary = send(PLACES, store)
    verdicts: list[str] = []
    file = TARGET / "report.json"
    if file.exists():
        made = json.loads(file.read_text(encoding="utf8"))
        tag_runs(made, store)
        verdicts = register_champions(made, store)
    if not summary.failed:
        remember(Path(), store)
    failed = [f"  {journal}: {why}" for journal, why in summary.failed.items()]
    return "\n".join([f"MLflow at {store}: {summary}", *failed, *verdicts])
