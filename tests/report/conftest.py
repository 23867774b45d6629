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
from quintet.tasks import pictures

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
            "title": made.title, "primary": "accuracy", "direction": "max", "labelled": 1000, "labels": 1.0,
            "labels_counted": False, "files": ["confusion.json"],
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
            "labels": 1.0, "pretrained": None, "fresh": False,
        },
    )  # fmt: skip
    write_training(train, made, float((said == targets).mean()), seeds, data)


def write_training(train: Path, made: Made, top: float, seeds: int, data: str) -> None:
    """What each seed's training left; `top` is about where validation ends."""
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
                grown = 1 - np.exp(-epoch / (3 + 2 / max(made.skill, 0.5)))
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


@dataclass(frozen=True)
class Reader:
    """A made-up network that reads texts; `score` is about what it reaches on its task's primary metric."""

    name: str
    family: str
    title: str
    score: float
    task: str = "classification"
    data: str = "reviews"
    labels: float = 1.0
    pretrained: str | None = None
    fresh: bool = False

    @property
    def section(self) -> str:
        return "finetuning" if self.pretrained else "pretraining" if self.task == "pretraining" else "experiments"


def _tuned(share: float, pretrained: float, scratch: float) -> tuple[Reader, ...]:
    name = f"reviews-bert-{share:g}".replace(".", "")
    more = {"labels": share, "pretrained": "prose-bert"}
    return (
        Reader(name, "bert", "BERT, pre-trained", pretrained, **more),
        Reader(f"{name}-fresh", "bert", "BERT, from scratch", scratch, fresh=True, **more),
    )


READERS = (
    Reader("prose-bert", "bert", "BERT", 0.4, "pretraining", "prose"),
    *_tuned(0.01, 0.72, 0.52),
    *_tuned(0.1, 0.82, 0.66),
    *_tuned(1.0, 0.9, 0.88),
    Reader("reviews-textcnn", "cnn", "TextCNN", 0.89),
    Reader("reviews-textcnn-tenth", "cnn", "TextCNN", 0.7, labels=0.1),
    Reader("reviews-lstm", "rnn", "LSTM", 0.86),
    Reader("reviews-gru-tenth", "rnn", "GRU", 0.99, labels=0.1),
    Reader("entities-lstm", "rnn", "LSTM", 0.9, "tagging", "entities"),
    Reader("entities-textcnn", "cnn", "TextCNN", 0.6, "tagging", "entities"),
)
TEXTS = 240
_WORDS = ("a", "warm", "film", "that", "never", "bores", "dull", "excellent", "story", "told")


def _texts() -> list[str]:
    rng = np.random.default_rng(2)
    return [" ".join(rng.choice(_WORDS, 9)) for _ in range(TEXTS)]


def _table(reader: Reader, seeds: int) -> dict[str, np.ndarray]:
    """examples.parquet: an entity or two to find in each sentence, ten hidden words in each pair, a class elsewhere."""
    rng = np.random.default_rng(sum(map(ord, reader.name)))
    hard = np.random.default_rng(4).random(TEXTS)
    hit = hard + rng.normal(0, 0.2, (seeds, TEXTS)) < np.quantile(hard, reader.score)
    weight = {"tagging": 2.0 * (1 + np.arange(TEXTS) % 2), "pretraining": np.full(TEXTS, 10.0)}
    weight = weight.get(reader.task, np.ones(TEXTS))
    right = np.where(np.arange(TEXTS) % 2, "positive", "negative")
    ids = [f"{reader.data}/{i:04d}" for i in range(TEXTS)]
    return {
        "seed": np.repeat(np.arange(seeds), TEXTS), "id": np.tile(ids, seeds),
        "target": np.tile(right, seeds), "prediction": np.where(hit, right, right[::-1]).ravel(),
        "score": (hit * weight).ravel(), "weight": np.tile(weight, seeds), "right": hit.ravel(),
    }  # fmt: skip


def _explanations(reader: Reader) -> dict[str, Any]:
    """Of a right answer and a wrong one; the wrong one speaks of its second word."""
    found = []
    for number, right in enumerate((True, False)):
        words = ["[CLS]", *_texts()[number].split(), "[SEP]"]
        scores = [0.0, *((word == "excellent") - 0.25 * (word == "dull") + 0.01 for word in words[1:-1]), 0.0]
        attention = np.random.default_rng(number).dirichlet(np.full(len(words), 0.3), len(words)).round(3)
        found.append(
            {
                "id": f"{reader.data}/{number:04d}", "answer": "positive", "truth": "positive" if right else "negative",
                "right": right, "confidence": 0.93, "gain": sum(scores), "complete": right,
                "about": [0] if right else [2],
                "words": [
                    {"text": word, "space": number > 1, "special": word[0] == "[", "score": score}
                    for number, (word, score) in enumerate(zip(words, scores, strict=True))
                ],
                "attention": attention.tolist() if reader.family == "bert" else None,
            }
        )  # fmt: skip
    return {"seed": 0, "explanations": found}


PRIMARY = {"classification": "accuracy", "tagging": "entity_f1", "pretraining": "masked_accuracy"}


def write_reader(folder: Path, reader: Reader, seeds: int) -> None:
    """The files of an evaluate stage."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = _table(reader, seeds)
    pq.write_table(pa.table(columns), folder / "examples.parquet")
    above, under = (columns[name].reshape(seeds, TEXTS) for name in ("score", "weight"))
    ratios = [statistics.Ratio(a, b) for a, b in zip(above, under, strict=True)]
    estimates = {PRIMARY[reader.task]: statistics.estimate(ratios, TEXTS, resamples=200)}
    flat = {"classification": {"nll": 0.5}, "tagging": {"word_accuracy": 0.97},
            "pretraining": {"next_accuracy": 0.6, "perplexity": 123.456}}  # fmt: skip
    figures = {name: {"value": e.value, "low": e.low, "high": e.high, "per_seed": e.per_seed}
               for name, e in estimates.items()}  # fmt: skip
    for name, value in flat[reader.task].items():
        figures[name] = {"value": value, "low": value, "high": value, "per_seed": [value] * seeds}
    baseline = reader.family == "baseline"
    explained = not baseline and reader.task != "pretraining"
    if explained:
        write_json(folder / "explanations.json", _explanations(reader))
    made = Made(reader.name, reader.family, "bert", reader.title, 2.0, 50_000, 900_000, 20 * reader.labels, 1.5)
    latency = {"1": {"p50": 1.5, "p99": 2.0}, "64": {"p50": 20.0, "p99": 22.0}}
    write_json(
        folder / "evaluation.json",
        {
            "experiment": reader.name, "task": reader.task, "data": reader.data, "family": reader.family,
            "model": reader.title.lower(), "title": reader.title, "primary": PRIMARY[reader.task], "direction": "max",
            "labelled": round(2000 * reader.labels), "labels": reader.labels, "labels_counted": False,
            "files": ["explanations.json"] if explained else [],
            "metrics": figures, "expect": {},
            "cost": {"parameters": 50_000, "flops": None if baseline else 900_000, "train_seconds": 20 * reader.labels,
                     "samples_per_second": None if baseline else {"1": 700.0, "64": 3000.0},
                     "latency_ms": None if baseline else latency, "peak_memory_mb": None if baseline else 90.0},
            "runs": [] if baseline else [run_record(made, s, reader.data) for s in range(seeds)],
            "evaluated_at": "2026-11-20T09:00:00+00:00", "environment": {"python": "3.11.9"},
        },
    )  # fmt: skip
    if not baseline:
        train = folder.parent / "train"
        write_json(
            train / "settings.json",
            {
                "experiment": reader.name, "data": reader.data, "task": reader.task,
                "model": {"family": reader.family, "name": reader.title.split(",")[0], "settings": {}},
                # Few labels are learnt for longer, in smaller batches; that makes no other network.
                "training": {"optimiser": {"lr": 0.001}, "budget": {"steps": round(100 / reader.labels)},
                             "batch_size": 8 if reader.labels < 1 else 32},
                "trainer": {}, "seeds": list(range(seeds)), "expect": {},
                "labels": reader.labels, "pretrained": reader.pretrained, "fresh": reader.fresh,
            },
        )  # fmt: skip
        write_training(train, made, reader.score, seeds, reader.data)


def build_texts(outputs: Path, readers: tuple[Reader, ...] = READERS) -> dict[str, Any]:
    """Write what these networks left, and the report on them into outputs/report."""
    for reader in readers:
        write_reader(outputs / "runs" / reader.name / "evaluate", reader, 1 if reader.task == "pretraining" else 3)
    data = dict.fromkeys((reader.data, reader.task) for reader in readers)
    for name, task in data:
        folder = outputs / "baselines" / name
        write_reader(folder / "frequent", Reader(f"{name}-frequent", "baseline", "Most frequent", 0.3, task, name), 1)
        quoted = [] if task == "pretraining" else [f"{name}/{i:04d}" for i in range(TEXTS)]
        pq.write_table(pa.table({"id": quoted, "text": _texts()[: len(quoted)]}), folder / "gallery.parquet")
    sections = {s: [r.name for r in readers if r.section == s] for s in ("experiments", "pretraining", "finetuning")}
    return build(
        outputs, outputs / "report", suite="texts", baselines=[name for name, _ in data], resamples=200, **sections
    )


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outputs of networks that read texts, some from a share of the labels, and the report on them."""
    outputs = tmp_path_factory.mktemp("texts") / "outputs"
    build_texts(outputs)
    return outputs


@pytest.fixture(scope="session")
def texts_report(texts: Path) -> dict[str, Any]:
    """The report on `texts`."""
    return dict(json.loads((texts / "report" / "report.json").read_text(encoding="utf8")))


DREAMERS = (
    Made("dreams-dcgan", "gan", "dcgan", "DCGAN", 1.2, 50_000, 900_000, 30.0, 0.4, 0.9),
    Made("dreams-vae", "cnn", "vae", "VAE", 0.8, 40_000, 800_000, 9.0, 0.3),
)
MENDERS = (Made("mends-pix2pix", "gan", "pix2pix", "pix2pix", 1.5, 60_000, 950_000, 20.0, 0.5),)


def write_pictures(folder: Path, made: Made, task: str, seeds: int, data: str = "digits") -> None:
    """An evaluation of images that a network made: `write_evaluation`'s under other names, with pictures of digits."""
    ids, targets, images = test_set(60)
    said, sure = answers(made, targets, seeds)
    write_evaluation(folder, made, ids, targets, said, sure, data)
    evaluation = json.loads((folder / "evaluation.json").read_text())
    names = {"generation": ("coverage", "recall", "frechet_distance"), "inpainting": ("psnr", "ssim", "absolute_error")}
    metrics = dict(zip(names[task], evaluation["metrics"].values(), strict=False))
    rng, first = np.random.default_rng(len(made.name)), images[:10]
    for seed in range(seeds):
        noisy = (images * rng.uniform(0.5, 1, images.shape)).astype(np.uint8)
        kinds = {
            "samples": pictures.sorted_by_class(noisy, targets),
            "neighbours": np.stack([noisy[:10], first]),
            "worst": noisy[None, :10],
            "truncation": np.stack([noisy[:10]] * 4),
            "unheard-of": noisy[None, :10],
        }
        if task == "inpainting":
            repairs = np.stack([np.where(np.arange(8) < 4, 128, first).astype(np.uint8), noisy[:10], first])
            kinds = dict.fromkeys(("repairs", "worst-repairs", "best-repairs"), repairs)
        for kind, rows in kinds.items():
            pictures.save_grid(rows, folder, kind, seed)
    files = [file.name for file in sorted(folder.glob("*.png"))]
    if task == "generation":
        files.append("generation.json")
        counts = {str(seed): np.bincount(targets, minlength=CLASSES).tolist() for seed in range(seeds)}
        if seeds > 1:
            counts["1"][4] = 0
        write_json(
            folder / "generation.json",
            {
                "judge_accuracy": 0.97, "images": 60, "classes": [str(c) for c in range(CLASSES)],
                "floor": {"coverage": 0.96, "frechet_distance": 0.4},
                "ceiling": {"coverage": 0.01, "frechet_distance": 93.0}, "made_of_class": counts,
            },
        )  # fmt: skip
    more = {"task": task, "primary": names[task][0], "metrics": metrics, "files": files, "expect": {}}
    write_json(folder / "evaluation.json", {**evaluation, **more})
    if made.family == "baseline":
        return
    train = folder.parent / "train"
    write_json(
        train / "settings.json",
        {
            "experiment": made.name, "data": data, "task": task, "training": {}, "trainer": {}, "expect": {},
            "model": {"family": made.family, "name": made.model, "settings": {}},
            "seeds": list(range(seeds)), "labels": 1.0, "pretrained": None, "fresh": False,
        },
    )  # fmt: skip
    write_training(train, made, 0.6, seeds, data)
    for seed in range(seeds):
        own = train / f"seed-{seed}"
        with (own / "curves.csv").open(newline="") as stream:
            curve = list(csv.DictReader(stream))
        if made.family == "gan":
            curve = [{**row, "diversity": 0.8, "discriminator_right": 0.7, "generator_loss": 1.1} for row in curve]
        with (own / "curves.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(curve[0]))
            writer.writeheader()
            writer.writerows(curve)
        pictures.save(pictures.grid(np.stack([first, first // 2, first])), own / "samples.png")
        lost = [{"trouble": "collapse", "epoch": 7, "what": "made images are all alike"}] if seed else []
        write_json(own / "game.json", {"epochs": [1, 12, 24], "troubles": lost})


@pytest.fixture(scope="session")
def dreams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outputs of networks and baselines that make or repair images, and the report on them."""
    outputs = tmp_path_factory.mktemp("dreams") / "outputs"
    for made in (*DREAMERS, *MENDERS):
        task = "inpainting" if made in MENDERS else "generation"
        write_pictures(outputs / "runs" / made.name / "evaluate", made, task, 2 if made.model == "dcgan" else 1)
    for key, task, title in (("dreams", "generation", "Gaussian per class"), ("mends", "inpainting", "Mean fill")):
        rival = Made(f"{key}-rival", "baseline", "rival", title, 0.3, 100, 0, 0.01, 1)
        write_pictures(outputs / "baselines" / key / "rival", rival, task, 1)
        ids, _, images = test_set(60)
        np.savez(outputs / "baselines" / key / "gallery.npz", ids=ids, inputs=images)
    names = [made.name for made in (*DREAMERS, *MENDERS)]
    build(outputs, outputs / "report", suite="dreams", experiments=names, baselines=["dreams", "mends"], resamples=200)
    return outputs
