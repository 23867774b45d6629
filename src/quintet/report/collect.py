"""Run folders to plain objects; the only place where the report reads files."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quintet.errors import UserError
from quintet.evaluation.statistics import Estimate
from quintet.experiment import STAGES, Section

CURVE_COLUMNS = ("step", "epoch", "seconds", "train_loss", "validation_loss", "validation_score", "learning_rate")
# What a game of two networks is watched by; other trainings lack them.
GAME_COLUMNS = ("generator_loss", "discriminator_right", "diversity")
_PICTURE = re.compile(r"(?P<kind>[a-z-]+)-seed-(?P<seed>\d+)\.png")


@dataclass(frozen=True)
class Examples:
    """What each seed's model made of each test example: ids and targets [example], the rest [seed example].

    Targets and predictions are in words. The primary metric is the sum of scores over the sum of weights.
    """

    ids: NDArray[np.str_]
    targets: NDArray[np.str_]
    seeds: tuple[int, ...]
    predictions: NDArray[np.str_]
    scores: NDArray[np.float64]
    weights: NDArray[np.float64]
    right: NDArray[np.bool_]


@dataclass(frozen=True)
class Confusion:
    """Counts [true class, predicted class] over all seeds."""

    classes: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Word:
    """A word of an explained text, or a mark such as [SEP], and how much it drove the answer."""

    text: str
    space: bool
    special: bool
    score: float


@dataclass(frozen=True)
class Explanation:
    """Why a network answered a test example as it did; scores of words add up to `gain` where they are `complete`.

    `about` numbers the words that the answer speaks of; `attention` is [word word], None for networks without.
    """

    id: str
    answer: str
    truth: str
    right: bool
    confidence: float
    gain: float
    complete: bool
    about: tuple[int, ...]
    words: tuple[Word, ...]
    attention: tuple[tuple[float, ...], ...] | None


@dataclass(frozen=True)
class Picture:
    """Small images in rows and columns: of which `kind` ('samples', 'repairs'; see `report.pictures`), of which seed.

    `pixels` is uint8 [height width] or [height width 3].
    """

    kind: str
    seed: int
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class Generated:
    """What figures of made images are to be read beside, and how many images of each class each seed made.

    `floor` is what training images would have in place of made ones, `ceiling` what noise has; metrics by name.
    """

    judge_accuracy: float
    floor: dict[str, float]
    ceiling: dict[str, float]
    classes: tuple[str, ...]
    counts: dict[int, tuple[int, ...]]


@dataclass(frozen=True)
class Trouble:
    """A game that was lost, as training said it; `kind` is 'collapse' or 'saturation'."""

    kind: str
    epoch: int
    what: str


@dataclass(frozen=True)
class Film:
    """The same latents at some epochs of a training, one row of `pixels` each; and what training warned of."""

    epochs: tuple[int, ...]
    pixels: NDArray[np.uint8]
    troubles: tuple[Trouble, ...]


@dataclass(frozen=True)
class Training:
    """What training left: settings, mean validation score, and for each seed a curve and, of a game, its film.

    A curve has rows of CURVE_COLUMNS and GAME_COLUMNS.
    """

    settings: dict[str, Any]
    curves: dict[int, list[tuple[float | None, ...]]]
    validation_score: float
    films: dict[int, Film] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluated:
    """An experiment, or a baseline (then `training` is None), on the test split; `confusion` where the task has one.

    `cost` is as in evaluation.json, null where it was not measured; `runs` is run.json of each seed. `labelled` is the
    number of training examples it learnt from, `labels` the share of all that they are; `labels_counted` where the
    number was asked for and the share follows from it.
    """

    file: Path
    baseline: bool
    experiment: str
    task: str
    data: str
    family: str
    model: str
    title: str
    primary: str
    direction: str
    metrics: dict[str, Estimate]
    expect: dict[str, float]
    cost: dict[str, Any]
    runs: tuple[dict[str, Any], ...]
    evaluated_at: str
    environment: dict[str, Any]
    examples: Examples
    confusion: Confusion | None
    training: Training | None
    labelled: int
    labels: float
    labels_counted: bool
    explanations: tuple[Explanation, ...] = ()
    pictures: tuple[Picture, ...] = ()
    generated: Generated | None = None

    @property
    def estimate(self) -> Estimate:
        """The primary metric."""
        return self.metrics[self.primary]

    @property
    def data_digest(self) -> str | None:
        """Digest of the data it was trained and tested on, where its runs say it."""
        return next((run["data_digest"] for run in self.runs if run.get("data_digest")), None)


@dataclass(frozen=True)
class Gallery:
    """The examples the report may show: pictures, inputs uint8 [example channel height width], or texts."""

    ids: NDArray[np.str_]
    inputs: NDArray[np.uint8] | None = None
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Collected:
    """Everything the report is made of; `missing` names the DVC stages whose files are not there."""

    suite: str
    evaluated: tuple[Evaluated, ...]
    galleries: dict[str, Gallery]
    missing: tuple[str, ...]


def collect(
    outputs: Path,
    suite: str,
    experiments: Sequence[str],
    baselines: Sequence[str],
    failed: Collection[str] = (),
    pretraining: Sequence[str] = (),
    finetuning: Sequence[str] = (),
) -> Collected:
    """Read what the declared experiments, pre-trainings, fine-tunings and baselines left under `outputs`.

    One without an evaluation is listed as missing, and so is one of whose stages ('train@lstm') one is
    among `failed`: what an earlier run left of it is no result of this one. A folder that is there but
    lacks a file, or holds one that cannot be read, is a `UserError` that names the file and the stage
    that writes it.
    """
    evaluated: list[Evaluated] = []
    galleries: dict[str, Gallery] = {}
    missing = []
    sections: dict[Section, Sequence[str]]
    sections = {"experiments": experiments, "pretraining": pretraining, "finetuning": finetuning}
    for section, names in sections.items():
        for name in names:
            folder = outputs / "runs" / name
            train, evaluate = (f"{stage}@{name}" for stage in STAGES[section])
            if (folder / "evaluate").is_dir() and not {train, evaluate} & set(failed):
                evaluated.append(_evaluated(folder / "evaluate", evaluate, _training(folder / "train", train)))
            else:
                missing.append(evaluate)
    for key in baselines:
        folder = outputs / "baselines" / key
        if not folder.is_dir() or f"baseline@{key}" in failed:
            missing.append(f"baseline@{key}")
            continue
        stage = f"baseline@{key}"
        found = [_evaluated(f, stage, None) for f in sorted(folder.iterdir()) if f.is_dir()]
        evaluated.extend(found)
        texts = folder / "gallery.parquet"
        gallery = _texts(texts, stage) if texts.exists() else _gallery(folder / "gallery.npz", stage)
        galleries.update({e.data: gallery for e in found})
    # The order of declaration is no part of the result.
    evaluated.sort(key=lambda e: (e.task, e.data, e.baseline, e.experiment))
    return Collected(suite, tuple(evaluated), galleries, tuple(missing))


def _broken(file: Path, what: str, stage: str) -> UserError:
    return UserError(str(file), what, f"delete {file.parent} and run: dvc repro {stage}")


def _json(file: Path, stage: str) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf8"), parse_constant=_no_number)
    except FileNotFoundError:
        raise _broken(file, "is not there", stage) from None
    except (OSError, ValueError) as e:
        raise _broken(file, f"cannot be read ({e})", stage) from e
    if not isinstance(content, dict):
        raise _broken(file, "holds no JSON object", stage)
    return content


def _no_number(text: str) -> None:
    """Python's JSON reader takes NaN and Infinity; no figure of a report may be one."""
    raise ValueError(f"{text} is no number")


def _columns(file: Path, names: Sequence[str], stage: str) -> dict[str, NDArray[Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file, columns=list(names))
    except FileNotFoundError:
        raise _broken(file, "is not there", stage) from None
    except (OSError, ValueError, pa.ArrowException) as e:
        raise _broken(file, f"cannot be read ({e})", stage) from e
    if absent := [n for n in names if n not in table.column_names]:
        raise _broken(file, f"lacks column '{absent[0]}'", stage)
    if not table.num_rows:
        raise _broken(file, "has no rows", stage)
    columns = {n: table[n].to_numpy() for n in names}
    if "score" in columns and not np.isfinite(columns["score"].astype(float)).all():
        raise _broken(file, "holds a score that is no number", stage)
    if "weight" in columns and not (np.isfinite(columns["weight"].astype(float)).all() and columns["weight"].sum() > 0):
        raise _broken(file, "holds weights that are no numbers, or are all zero", stage)
    return columns


def _evaluated(folder: Path, stage: str, training: Training | None) -> Evaluated:
    file = folder / "evaluation.json"
    content = _json(file, stage)
    try:
        metrics = {
            name: Estimate(float(m["value"]), float(m["low"]), float(m["high"]), tuple(map(float, m["per_seed"])))
            for name, m in content["metrics"].items()
        }
        if content["direction"] not in ("max", "min"):
            raise ValueError(f"direction '{content['direction']}'")
        metrics[content["primary"]]
        return Evaluated(
            file=file,
            baseline=training is None,
            experiment=content["experiment"],
            task=content["task"],
            data=content["data"],
            family=content["family"],
            model=content["model"],
            title=content["title"],
            primary=content["primary"],
            direction=content["direction"],
            metrics=metrics,
            expect={name: float(figure) for name, figure in (content.get("expect") or {}).items()},
            cost=dict(content["cost"]),
            runs=tuple(sorted(content.get("runs") or (), key=lambda run: int(run["seed"]))),
            evaluated_at=content["evaluated_at"],
            environment=dict(content.get("environment") or {}),
            examples=_examples(folder / "examples.parquet", stage),
            confusion=_confusion(folder / "confusion.json", stage) if "confusion.json" in content["files"] else None,
            training=training,
            labelled=int(content["labelled"]),
            labels=float(content["labels"]),
            labels_counted=bool(content["labels_counted"]),
            explanations=(
                _explanations(folder / "explanations.json", stage) if "explanations.json" in content["files"] else ()
            ),
            pictures=tuple(
                Picture(named["kind"], int(named["seed"]), _pixels(folder / name, stage))
                for name in content["files"]
                if (named := _PICTURE.fullmatch(name))
            ),
            generated=_generated(folder / "generation.json", stage) if "generation.json" in content["files"] else None,
        )
    except KeyError as e:
        raise _broken(file, f"lacks {e}", stage) from e
    except (TypeError, ValueError, AttributeError) as e:
        raise _broken(file, f"holds something else than expected ({e})", stage) from e


def _examples(file: Path, stage: str) -> Examples:
    columns = _columns(file, ("seed", "id", "target", "prediction", "score", "weight", "right"), stage)
    seeds = sorted({int(s) for s in columns["seed"]})
    parts = []
    for seed in seeds:
        rows = np.flatnonzero(columns["seed"] == seed)
        order = rows[np.argsort(columns["id"][rows].astype(str), kind="stable")]
        parts.append({name: column[order] for name, column in columns.items()})
    ids = parts[0]["id"].astype(str)
    if len(set(ids)) != len(ids):
        raise _broken(file, f"names an example twice for seed {seeds[0]}", stage)
    for seed, part in zip(seeds, parts, strict=True):
        if not np.array_equal(part["id"].astype(str), ids) or not np.array_equal(part["target"], parts[0]["target"]):
            raise _broken(file, f"seeds {seeds[0]} and {seed} hold different examples", stage)
    return Examples(
        ids=ids,
        targets=parts[0]["target"].astype(str),
        seeds=tuple(seeds),
        predictions=np.stack([p["prediction"].astype(str) for p in parts]),
        scores=np.stack([p["score"] for p in parts]).astype(np.float64),
        weights=np.stack([p["weight"] for p in parts]).astype(np.float64),
        right=np.stack([p["right"] for p in parts]).astype(bool),
    )


def _confusion(file: Path, stage: str) -> Confusion:
    content = _json(file, stage)
    try:
        classes = tuple(str(c) for c in content["classes"])
        matrix = tuple(tuple(int(n) for n in row) for row in content["matrix"])
    except (KeyError, TypeError, ValueError) as e:
        raise _broken(file, f"holds something else than expected ({e})", stage) from e
    if len(matrix) != len(classes) or any(len(row) != len(classes) for row in matrix):
        raise _broken(file, f"has {len(classes)} classes and another number of rows or columns", stage)
    return Confusion(classes, matrix)


def _explanations(file: Path, stage: str) -> tuple[Explanation, ...]:
    content = _json(file, stage)
    try:
        found = tuple(
            Explanation(
                str(one["id"]),
                str(one["answer"]),
                str(one["truth"]),
                bool(one["right"]),
                float(one["confidence"]),
                float(one["gain"]),
                bool(one["complete"]),
                tuple(int(n) for n in one["about"]),
                tuple(
                    Word(str(w["text"]), bool(w["space"]), bool(w["special"]), float(w["score"])) for w in one["words"]
                ),
                None if one["attention"] is None else tuple(tuple(map(float, row)) for row in one["attention"]),
            )
            for one in content["explanations"]
        )
    except (KeyError, TypeError, ValueError) as e:
        raise _broken(file, f"holds something else than expected ({e})", stage) from e
    for one in found:
        if one.attention and {len(one.words)} != {len(one.attention), *map(len, one.attention)}:
            raise _broken(file, f"holds attention of another size than the {len(one.words)} words of {one.id}", stage)
        if any(not 0 <= n < len(one.words) for n in one.about):
            raise _broken(file, f"speaks of words that {one.id} lacks", stage)
    return found


def _generated(file: Path, stage: str) -> Generated:
    content = _json(file, stage)
    try:
        made = Generated(
            float(content["judge_accuracy"]),
            {name: float(value) for name, value in content["floor"].items()},
            {name: float(value) for name, value in content["ceiling"].items()},
            tuple(str(name) for name in content["classes"]),
            {int(seed): tuple(int(n) for n in counts) for seed, counts in content["made_of_class"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise _broken(file, f"holds something else than expected ({e})", stage) from e
    if any(len(counts) != len(made.classes) for counts in made.counts.values()):
        raise _broken(file, f"has {len(made.classes)} classes and another number of counts", stage)
    return made


def _film(folder: Path, stage: str) -> Film:
    content = _json(folder / "game.json", stage)
    try:
        troubles = tuple(
            Trouble(str(one["trouble"]), int(one["epoch"]), str(one["what"])) for one in content["troubles"]
        )
        epochs = tuple(int(epoch) for epoch in content["epochs"])
    except (KeyError, TypeError, ValueError) as e:
        raise _broken(folder / "game.json", f"holds something else than expected ({e})", stage) from e
    return Film(epochs, _pixels(folder / "samples.png", stage), troubles)


def _pixels(file: Path, stage: str) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(file, formats=["PNG"]) as image:
            return np.asarray(image.convert("L" if image.mode == "L" else "RGB"))
    except FileNotFoundError:
        raise _broken(file, "is not there", stage) from None
    # Pillow meets damaged files with errors of nearly every type.
    except Exception as e:
        raise _broken(file, f"cannot be read ({e})", stage) from e


def _training(folder: Path, stage: str) -> Training:
    settings = _json(folder / "settings.json", stage)
    if absent := [key for key in ("model", "training", "labels", "pretrained", "fresh") if key not in settings]:
        raise _broken(folder / "settings.json", f"lacks '{absent[0]}'", stage)
    seeds = sorted(int(f.name.removeprefix("seed-")) for f in folder.glob("seed-*"))
    if not seeds:
        raise _broken(folder / "seed-*", "is not there", stage)
    curves, scores, films = {}, [], {}
    for seed in seeds:
        curves[seed] = _curve(folder / f"seed-{seed}" / "curves.csv", stage)
        validation = _columns(folder / f"seed-{seed}" / "validation.parquet", ("score", "weight"), stage)
        scores.append(float(validation["score"].sum() / validation["weight"].sum()))
        if (folder / f"seed-{seed}" / "game.json").exists():
            films[seed] = _film(folder / f"seed-{seed}", stage)
    return Training(settings, curves, sum(scores) / len(scores), films)


def _curve(file: Path, stage: str) -> list[tuple[float | None, ...]]:
    try:
        with file.open(newline="", encoding="utf8") as stream:
            rows = list(csv.DictReader(stream))
        # A loss may not be known yet in a row; the cell is then empty or 'nan'.
        cells = [
            (
                *(float(row[c] or "nan") for c in CURVE_COLUMNS),
                *(float(row.get(c) or "nan") for c in GAME_COLUMNS),
            )
            for row in rows
        ]
    except FileNotFoundError:
        raise _broken(file, "is not there", stage) from None
    except KeyError as e:
        raise _broken(file, f"lacks column {e}", stage) from e
    except (OSError, ValueError, TypeError) as e:
        raise _broken(file, f"cannot be read ({e})", stage) from e
    return [tuple(c if np.isfinite(c) else None for c in row) for row in cells]


def _texts(file: Path, stage: str) -> Gallery:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file, columns=["id", "text"])
    except (OSError, ValueError, pa.ArrowException) as e:
        raise _broken(file, f"cannot be read ({e})", stage) from e
    return Gallery(table["id"].to_numpy().astype(str), texts=tuple(table["text"].to_pylist()))


def _gallery(file: Path, stage: str) -> Gallery:
    try:
        # numpy leaves a file that it opened itself open when it is no archive.
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return Gallery(arrays["ids"].astype(str), arrays["inputs"].astype(np.uint8))
    except FileNotFoundError:
        raise _broken(file, "is not there", stage) from None
    except KeyError as e:
        raise _broken(file, f"lacks {e}", stage) from e
    # A damaged archive raises whatever its damage runs into: BadZipFile, zlib.error, EOFError, ValueError, OSError.
    except Exception as e:
        raise _broken(file, f"cannot be read ({e})", stage) from e
