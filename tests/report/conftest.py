"""Made-up run folders in the format that stages leave, with real pictures of digits.

Answers are drawn so that models agree as trained ones do: each example has a difficulty of its own
and one for each family, each seed some noise; better models get more right.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_digits

from quintet.evaluation import statistics
from quintet.report import build

CLASSES = 10
DIGEST = "sha256:" + "ab" * 32
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class Made:
    """A made-up experiment: `skill` sets how much it gets right, the rest what it costs."""

    name: str
    family: str
    model: str
    title: str
    skill: float
    parameters: int
    flops: int
    seconds: float
    milliseconds: float
    expect: float | None = None


EXPERIMENTS = (
    Made("digits-resnet20", "cnn", "resnet", "ResNet-20", 2.95, 272_474, 5_150_000, 41.0, 2.9, 0.98),
    Made("digits-vgg11", "cnn", "vgg", "VGG-11", 2.8, 9_231_114, 24_000_000, 63.0, 2.2),
    Made("digits-lenet5", "cnn", "lenet5", "LeNet-5", 2.85, 61_706, 210_000, 6.4, 0.31, 0.97),
    Made("digits-vit", "transformer", "vit", "ViT", 2.1, 804_874, 15_100_000, 38.0, 1.7, 0.97),
    Made("digits-vit-small", "transformer", "vit", "ViT", 1.75, 105_034, 2_020_000, 14.2, 1.1),
    Made("digits-gru", "rnn", "gru", "GRU", 2.35, 52_490, 812_000, 11.9, 0.62, 0.96),
    Made("digits-rnn", "rnn", "rnn", "Vanilla RNN", 1.3, 18_186, 290_000, 9.3, 0.44),
)


def test_set(examples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids, targets and pictures [example 1 8 8] of the last so many digits, in no sorted order."""
    digits = load_digits()
    order = np.random.default_rng(5).permutation(len(digits.target))[-examples:]
    ids = np.array([f"digits/{i:04d}" for i in order])
    pictures = np.clip(digits.images[order] * 16, 0, 255).astype(np.uint8)[:, None]
    return ids, digits.target[order].astype(np.int64), pictures


def answers(made: Made, targets: np.ndarray, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and confidences [seed example]."""
    rng = np.random.default_rng(11)
    hard = rng.normal(size=len(targets))
    # What a class is easily taken for is the same for everybody.
    twin = np.array([6, 7, 3, 8, 9, 3, 5, 9, 1, 4])
    own = np.random.default_rng(sum(map(ord, made.family))).normal(size=len(targets))
    noise = np.random.default_rng(sum(map(ord, made.name)))
    table = made.skill - hard - 0.75 * own + 0.45 * noise.normal(size=(seeds, len(targets))) + noise.normal(0, 0.1)
    right = table > 0
    usual = noise.random((seeds, len(targets))) < 0.6
    wrong = np.where(usual & (twin[targets] != targets), twin[targets], (targets + 1 + noise.integers(0, 9)) % CLASSES)
    wrong = np.where(wrong == targets, (targets + 1) % CLASSES, wrong)
    confidence = np.clip(0.55 + 0.18 * np.abs(table), 0.2, 0.999)
    return np.where(right, targets, wrong), confidence


def write_json(file: Path, content: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf8")


def run_record(made: Made, seed: int, data: str) -> dict[str, Any]:
    return {
        "run_key": f"{sum(map(ord, made.name)):028x}{seed:04x}",
        "mlflow_run_id": f"{sum(map(ord, made.name)) + 7:028x}{seed:04x}",
        "experiment": made.name, "seed": seed, "suite": "embedded", "task": "classification", "data": data,
        "data_digest": DIGEST, "family": made.family, "model": made.model, "commit": COMMIT,
        "dvc_stage": f"train@{made.name}", "started_at": "2026-11-20T08:00:00+00:00",
        "ended_at": f"2026-11-20T08:{1 + seed:02d}:00+00:00", "train_seconds": made.seconds * (1 + 0.03 * seed),
        "steps": 600, "epochs": 30, "samples_per_second": 1000.0, "parameters": made.parameters,
        "budget": {"kind": "epochs", "allowed": 30, "used": 30 if seed else 24},
        "stopped_by": "budget" if seed else "early_stopping",
        "best": {"step": 500, "epoch": 25, "metric": "accuracy", "value": 0.98},
        "precision": "32-true", "memory_format": "contiguous",
        "precision_reason": "too little work a step for bf16 to pay",
        "resumed": 0,
        "environment": {"python": "3.11.9", "torch": "2.13.0", "cpu": "two cores", "threads": 2,
                        "accelerator": "cpu", "devices": 1},
    }  # fmt: skip


def write_evaluation(
    folder: Path, made: Made, ids: np.ndarray, targets: np.ndarray, said: np.ndarray, sure: np.ndarray, data: str
) -> None:
    """The three files of an evaluate stage; `said` and `sure` are [seed example]."""
    folder.mkdir(parents=True, exist_ok=True)
    baseline = made.family == "baseline"
    seeds, examples = said.shape
    score = (said == targets).astype(float)
    nll = -np.log(np.where(score > 0, sure, (1 - sure) / (CLASSES - 1)))
    columns = {
        "seed": np.repeat(np.arange(seeds), examples), "id": np.tile(ids, seeds),
        "target": np.tile(targets, seeds).astype(str), "prediction": said.ravel().astype(str), "score": score.ravel(),
        "weight": np.ones(score.size), "right": score.ravel() == 1, "confidence": sure.ravel(), "nll": nll.ravel(),
    }  # fmt: skip
    pq.write_table(pa.table(columns), folder / "examples.parquet")
    matrix = np.zeros((CLASSES, CLASSES), int)
    np.add.at(matrix, (np.tile(targets, seeds), said.ravel()), 1)
    write_json(folder / "confusion.json", {"classes": [str(c) for c in range(CLASSES)], "matrix": matrix.tolist()})
    estimates = {
        "accuracy": statistics.mean_estimate(score, resamples=200),
        "macro_f1": statistics.macro_f1_estimate(targets, said, CLASSES, resamples=200),
        "nll": statistics.mean_estimate(nll, resamples=200),
        "calibration_error": statistics.calibration_estimate(sure, score, resamples=200),
    }
    write_json(
        folder / "evaluation.json",
        {
            "experiment": made.name, "task": "classification", "data": data, "family": made.family, "model": made.model,
            "title": made.title, "primary": "accuracy", "direction": "max",
            "files": ["confusion.json"],
            "metrics": {
                name: {"value": e.value, "low": e.low, "high": e.high, "per_seed": e.per_seed}
                for name, e in estimates.items()
            },
            "expect": {} if made.expect is None else {"accuracy": made.expect},
            "cost": {
                "parameters": made.parameters,
                "flops": None if baseline else made.flops,
                "train_seconds": made.seconds,
                "samples_per_second": (
                    None if baseline else {"1": 1000 / made.milliseconds, "64": 9000 / made.milliseconds}
                ),
                "latency_ms": None if baseline else {
                    "1": {"p50": made.milliseconds, "p99": 1.6 * made.milliseconds},
                    "64": {"p50": 7 * made.milliseconds, "p99": 9 * made.milliseconds},
                },
                "peak_memory_mb": None if baseline else 310.0,
            },
            "runs": [] if baseline else [run_record(made, s, data) for s in range(seeds)],
            "evaluated_at": "2026-11-20T09:00:00+00:00" if baseline else f"2026-11-20T09:{len(made.name):02d}:00+00:00",
            "environment": {"python": "3.11.9", "torch": "2.13.0", "cpu": "two cores"},
        },
    )  # fmt: skip


def write_experiment(outputs: Path, made: Made, examples: int = 300, seeds: int = 3, data: str = "digits") -> None:
    """train/ and evaluate/ of one experiment."""
    ids, targets, _ = test_set(examples)
    said, sure = answers(made, targets, seeds)
    write_evaluation(outputs / "runs" / made.name / "evaluate", made, ids, targets, said, sure, data)
    train = outputs / "runs" / made.name / "train"
    write_json(
        train / "settings.json",
        {
            "experiment": made.name, "data": data, "task": "classification",
            "model": {"family": made.family, "name": made.model, "settings": {"width": 16}},
            "training": {"optimiser": "adamw", "learning_rate": 0.001}, "trainer": {"accelerator": "auto"},
            "seeds": list(range(seeds)), "expect": {} if made.expect is None else {"accuracy": made.expect},
        },
    )  # fmt: skip
    top = float((said == targets).mean())
    for seed in range(seeds):
        rng = np.random.default_rng(seed + len(made.name))
        folder = train / f"seed-{seed}"
        folder.mkdir(parents=True)
        with (folder / "curves.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(
                ["step", "epoch", "seconds", "train_loss", "validation_loss", "validation_score", "learning_rate"]
            )
            for epoch in range(1, 31 if seed else 25):
                grown = 1 - np.exp(-epoch / (3 + 2 / made.skill))
                accuracy = min(1.0, max(0.05, 0.1 + (top + 0.005 - 0.1) * grown + rng.normal(0, 0.012 * (1.1 - grown))))
                loss = 2.3 * (1 - grown) + 1.6 * (1 - top) + abs(rng.normal(0, 0.02))
                at = made.seconds * epoch / 30
                writer.writerow([20 * epoch, epoch, at, loss * 0.85, loss, accuracy, 0.001 * (1 - epoch / 31)])
        scores = np.zeros(200)
        scores[: round(200 * min(1.0, top + 0.002 * seed))] = 1.0
        table = {
            "id": [f"validation/{i}" for i in range(200)],
            "target": np.ones(200, np.int64),
            "prediction": scores.astype(np.int64),
            "score": scores,
            "weight": np.ones(200),
        }
        pq.write_table(pa.table(table), folder / "validation.parquet")
        write_json(folder / "run.json", run_record(made, seed, data))


def write_baselines(outputs: Path, examples: int = 300, data: str = "digits", ahead: float = 0.94) -> None:
    """The most frequent class, and a logistic regression that gets the share `ahead` right."""
    ids, targets, pictures = test_set(examples)
    folder = outputs / "baselines" / data
    frequent = Made("most-frequent", "baseline", "most-frequent", "Most frequent class", 0, 0, 0, 0.001, 1)
    said = np.full((1, examples), np.bincount(targets).argmax())
    write_evaluation(folder / "most-frequent", frequent, ids, targets, said, np.full(said.shape, 0.1), data)
    linear = Made("logistic-regression", "baseline", "logistic-regression", "Logistic regression", 0, 650, 0, 0.4, 1)
    hard = np.random.default_rng(11).normal(size=examples) + np.random.default_rng(3).normal(size=examples)
    right = hard <= np.quantile(hard, ahead)
    said = np.where(right, targets, (targets + 3) % CLASSES)[None]
    write_evaluation(folder / "logistic-regression", linear, ids, targets, said, np.full(said.shape, 0.9), data)
    np.savez(folder / "gallery.npz", ids=ids, inputs=pictures)


def write_outputs(outputs: Path, experiments: tuple[Made, ...] = EXPERIMENTS) -> list[str]:
    """All of it; the names of the experiments."""
    for made in experiments:
        write_experiment(outputs, made)
    write_baselines(outputs)
    return [made.name for made in experiments]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outputs of seven experiments and two baselines, to be read only."""
    outputs = tmp_path_factory.mktemp("whole") / "outputs"
    write_outputs(outputs)
    return outputs


@pytest.fixture(scope="session")
def report(whole: Path) -> dict[str, Any]:
    """The report of `whole`, written to its folder `report`."""
    names = [made.name for made in EXPERIMENTS]
    return build(whole, whole / "report", suite="embedded", experiments=names, baselines=["digits"])
