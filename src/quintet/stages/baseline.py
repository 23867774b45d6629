"""Stage baseline@<key>: what no network should fall short of, and the pictures that the report may show."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from quintet.checking import validate
from quintet.config import Baseline, Evaluation
from quintet.data.spec import DataSpec, Split, load_spec, load_split
from quintet.stages import declared, results
from quintet.stages.environment import environment
from quintet.tasks import TASKS
from quintet.tasks.classification import Predictions
from quintet.tracking.journal import DataInput, Journal
from quintet.tracking.projector import Projector
from quintet.tracking.provenance import provenance

# Inverse strengths of L2 regularisation that logistic regression chooses from, on the validation split.
_STRENGTHS = (0.001, 0.01, 0.1, 1.0)
_ITERATIONS = 200
_GALLERY = 10_000
_THUMBNAIL = 64

_TITLES = {"most-frequent": "Most frequent class", "logistic-regression": "Logistic regression"}


def baseline(key: str) -> None:
    """Fit and measure the baselines of one entry under `baselines`; writes outputs/baselines/<key>."""
    shown = declared.parameters(f"baseline@{key}")
    entry = validate(Baseline, shown["baselines"][key], declared.plain_where, "baselines", key)
    measuring = validate(Evaluation, shown.get("evaluation", {}), declared.plain_where, "evaluation")
    prepared, out = Path("data/prepared", entry.data), Path("outputs/baselines", key)
    spec = load_spec(prepared)
    train, validation, test = (load_split(prepared, split) for split in ("train", "validation", "test"))
    for name in TASKS[entry.task].baselines:
        started, clock = datetime.now(UTC), time.perf_counter()
        model, settings = _fit(name, train, validation)
        seconds = time.perf_counter() - clock
        found = Predictions.of(torch.from_numpy(_log_probabilities(model, test, len(spec.classes))), test)
        _write(key, name, entry, spec, found, measuring, settings, started, seconds, _parameters(model), out / name)
    _gallery(test, out / "gallery.npz")


def _fit(name: str, train: Split, validation: Split) -> tuple[Any, dict[str, Any]]:
    """The fitted baseline, and the settings it chose on the validation split."""
    if name == "most-frequent":
        return DummyClassifier(strategy="prior").fit(_flat(train), train.targets), {}
    assert name == "logistic-regression", name
    best: tuple[float, Any, float] | None = None
    for strength in _STRENGTHS:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=_ITERATIONS, tol=1e-3))
        model.fit(_flat(train), train.targets)
        accuracy = float(model.score(_flat(validation), validation.targets))
        if best is None or accuracy > best[0]:
            best = accuracy, model, strength
    assert best is not None
    return best[1], {"C": best[2], "validation_accuracy": best[0]}


def _flat(split: Split) -> np.ndarray:
    return np.asarray(split.inputs, np.float32).reshape(len(split), -1) / 255


def _log_probabilities(model: Any, split: Split, num_classes: int) -> np.ndarray:
    """[example class]; a class that training lacked gets what is left over: next to nothing."""
    probabilities = np.full((len(split), num_classes), np.finfo(np.float64).tiny)
    probabilities[:, model.classes_] = np.maximum(model.predict_proba(_flat(split)), np.finfo(np.float64).tiny)
    return np.log(probabilities)


def _parameters(model: Any) -> int:
    if isinstance(model, DummyClassifier):
        return len(model.classes_)
    logistic = model[-1]
    return int(logistic.coef_.size + logistic.intercept_.size)


def _write(
    key: str,
    name: str,
    entry: Baseline,
    spec: DataSpec,
    found: Predictions,
    measuring: Evaluation,
    settings: dict[str, Any],
    started: datetime,
    seconds: float,
    parameters: int,
    folder: Path,
) -> None:
    task, tags = TASKS[entry.task], provenance(Path.cwd())
    run = {
        "run_key": uuid.uuid4().hex,
        "experiment": f"{key}-{name}",
        "seed": 0,
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
        "parameters": parameters,
        "environment": environment(),
    }
    journal = Journal(folder / "journal.jsonl")
    own = {"experiment": f"{key}-{name}", "family": "baseline", "model": name, "task": entry.task, "data": entry.data}
    journal.start(
        f"{key}-{name}",
        experiment=entry.task,
        params={"model": {"family": "baseline", "name": name, "settings": settings}, "parameters": parameters},
        tags={"quintet.run_key": str(run["run_key"]), **tags, **own, "seed": "0"},
        inputs=[DataInput(entry.data, spec.digest, context, spec.source["took"]) for context in ("training", "test")],
    )
    measured = found.metrics(len(spec.classes))
    journal.metrics(0, {**{f"test_{k}": v for k, v in measured.items()}, "train_seconds": seconds})
    evaluation = {
        "experiment": f"{key}-{name}",
        "task": entry.task,
        "data": entry.data,
        "family": "baseline",
        "model": name,
        "title": _TITLES[name],
        "primary": task.primary,
        "direction": "max" if task.higher_is_better else "min",
        "metrics": results.intervals({0: found}, len(spec.classes), measuring),
        "expect": {},
        # A linear model's work is next to nothing; only what fitting it takes is worth comparing.
        "cost": {
            "parameters": parameters,
            "flops": None,
            "train_seconds": seconds,
            "samples_per_second": None,
            "latency_ms": None,
            "peak_memory_mb": None,
        },
        "evaluated_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment(),
    }
    results.write_examples(folder, {0: found}, spec.classes)
    for file in ("confusion.json", "examples.parquet"):
        journal.artifact(folder / file, "evaluation")
    journal.end("FINISHED")
    projector = Projector(journal, system_every=None)
    projector.close()
    journal.close()
    results.write_evaluation(folder, {**evaluation, "runs": [{**run, "mlflow_run_id": projector.run_id}]})


def _gallery(test: Split, file: Path) -> None:
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
