"""Stage baseline@<key>: what no network should fall short of, and the examples that the report may show."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from quintet.baselines import Fitted, fit
from quintet.checking import validate
from quintet.config import Baseline, Evaluation
from quintet.data.spec import Split
from quintet.stages import declared, results
from quintet.stages.environment import environment
from quintet.tasks import TASKS
from quintet.tasks.objective import Objective, Predictions, load_objective
from quintet.tracking.journal import DataInput, Journal
from quintet.tracking.provenance import provenance

_GALLERY = 10_000
_THUMBNAIL = 64


def baseline(key: str) -> None:
    """Fit and measure the baselines of one entry under `baselines`; writes outputs/baselines/<key>."""
    shown = declared.parameters(f"baseline@{key}")
    entry = validate(Baseline, shown["baselines"][key], declared.plain_where, "baselines", key)
    measuring = validate(Evaluation, shown.get("evaluation", {}), declared.plain_where, "evaluation")
    out = Path("outputs/baselines", key)
    objective = load_objective(entry.task, Path("data/prepared", entry.data))
    if measuring.inception is not None:
        objective.look_with(Path(measuring.inception), declared.plain_where("evaluation", "inception"))
    learnt = results.labels(objective, entry.labels, declared.plain_where("baselines", key, "labels"))
    validation, test = objective.inputs.load("validation"), objective.inputs.load("test")
    for name in TASKS[entry.task].baselines[objective.spec.kind]:
        started, seconds, found = datetime.now(UTC), 0.0, {}
        for seed in entry.seeds:
            clock = time.perf_counter()
            objective.learnt_from(entry.labels, seed)
            fitted = fit(entry.task, name, objective, objective.inputs.load("train", entry.labels, seed), validation)
            seconds += (time.perf_counter() - clock) / len(entry.seeds)
            found[seed] = fitted.predict(test)
        _write(key, name, entry, objective, fitted, found, learnt, measuring, started, seconds, out / name)
    if objective.spec.kind == "image":
        _pictures(test, out / "gallery.npz")
    else:
        pq.write_table(pa.table(objective.quotes(test)), out / "gallery.parquet")


def _write(
    key: str,
    name: str,
    entry: Baseline,
    objective: Objective,
    fitted: Fitted,
    found: dict[int, Predictions],
    learnt: dict[str, float],
    measuring: Evaluation,
    started: datetime,
    seconds: float,
    folder: Path,
) -> None:
    task, tags, spec = TASKS[entry.task], provenance(Path.cwd()), objective.spec
    settings = dict(fitted.settings)
    run = {
        "run_key": uuid.uuid4().hex,
        "experiment": f"{key}-{name}",
        "seed": entry.seeds[0],
        "task": entry.task,
        "data": entry.data,
        "data_digest": spec.digest,
        "family": "baseline",
        "model": name,
        "settings": settings,
        "commit": tags.get("git.commit"),
        "dirty": tags.get("git.dirty") == "true",
        "dvc_stage": f"baseline@{key}",
        "started_at": started.isoformat(timespec="seconds"),
        "ended_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "train_seconds": seconds,
        "parameters": fitted.parameters,
        "environment": environment(),
    }
    journal = Journal(folder / "journal.jsonl")
    own = {"experiment": f"{key}-{name}", "family": "baseline", "model": name, "task": entry.task, "data": entry.data}
    journal.start(
        f"{key}-{name}",
        experiment=entry.task,
        params={"model": {"family": "baseline", "name": name, "settings": settings}, "parameters": fitted.parameters},
        tags={"quintet.run_key": str(run["run_key"]), **tags, **own, "seed": str(entry.seeds[0])},
        inputs=[DataInput(entry.data, spec.digest, context, spec.source["took"]) for context in ("training", "test")],
    )
    by_seed = [objective.metrics(one) for one in found.values()]
    measured = {f"test_{name}": fmean(metrics[name] for metrics in by_seed) for name in by_seed[0]}
    journal.metrics(0, {**measured, "train_seconds": seconds})
    evaluation: dict[str, Any] = {
        "experiment": f"{key}-{name}",
        "task": entry.task,
        "data": entry.data,
        "family": "baseline",
        "model": name,
        "title": fitted.title,
        "primary": task.primary,
        "direction": "max" if task.higher_is_better else "min",
        **learnt,
        "files": results.write_examples(folder, objective, found),
        "metrics": results.intervals(objective, found, measuring),
        "expect": {},
        # A baseline's work is next to nothing; only what fitting it takes is worth comparing.
        "cost": {
            "parameters": fitted.parameters,
            "flops": None,
            "train_seconds": seconds,
            "samples_per_second": None,
            "latency_ms": None,
            "peak_memory_mb": None,
        },
        "evaluated_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment(),
    }
    for file in ("examples.parquet", *evaluation["files"]):
        journal.artifact(folder / file, "figures" if file.endswith(".png") else "evaluation")
    # The report, or `quintet sync`, shows it in MLflow.
    journal.end("FINISHED")
    journal.close()
    results.write_evaluation(folder, {**evaluation, "runs": [run]})


def _pictures(test: Split, file: Path) -> None:
    """Small pictures of the first test examples: the only ones that the report may show."""
    inputs = np.asarray(test.inputs[:_GALLERY])
    _, _, height, width = inputs.shape
    if max(height, width) > _THUMBNAIL:
        scale = _THUMBNAIL / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        inputs = np.stack([_shrunk(image, size) for image in inputs])
    np.savez_compressed(file, ids=np.asarray(test.ids[:_GALLERY]).astype(str), inputs=inputs)


def _shrunk(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    channels = [np.asarray(Image.fromarray(channel).resize(size, Image.Resampling.LANCZOS)) for channel in image]
    return np.stack(channels)
