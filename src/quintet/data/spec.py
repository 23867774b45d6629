"""Prepared data on disk: one folder a data set, arrays that are memory-mapped when read.

data/prepared/<name>/
    spec.json                what it is: shapes, classes, counts, digest, source
    set_aside.csv            file,reason of every example left out (header only when none was)
    {train,validation,test}/
        ids.npy              a name for each example, stable between preparations
        inputs.npy           e.g. uint8 [example channel height width]
        targets.npy          e.g. int64 [example]

Texts lie as they were read, in examples.parquet instead of the arrays (`quintet.data.text.store`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from quintet.errors import UserError

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class DataSpec:
    """What the data decide about a model and a report.

    `kind` is 'image' (inputs uint8 [channel height width]); `target` is 'class' (int64 index into
    `classes`). `mean` and `std` are per channel, of the training split scaled to 0..1.
    `class_counts` gives, for each split, the number of examples of each class in order.
    `source` says where the examples came from ('took', 'path' or 'url', 'title', 'licence', 'source') and, in
    'note', what a reader of results must know (a subset, copies). `digest` is the SHA-256 of the arrays
    and ids of all splits. `copies` counts the examples that are an exact copy of an earlier one
    ('all') and the test examples that stand in train or validation as well ('test_seen').

    Of texts (`kind` 'text'), `shape` is (longest sequence, size of the vocabulary, id of the padding, id of
    the separator), all in tokens of the set's own tokenizer; `target` is 'class', 'tags' (one of `classes` for
    each word), 'span' (the answer to a question in a context) or 'next' (does the second text follow the first?).
    `mean` and `std` are empty, `class_counts` is so but for 'class', and `text` says how the texts were cut.
    """

    name: str
    kind: str
    target: str
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    counts: dict[str, int]
    class_counts: dict[str, list[int]]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    set_aside: int
    source: dict[str, str]
    digest: str
    copies: dict[str, int] = field(default_factory=dict)
    text: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Split:
    """One split's arrays, memory-mapped."""

    ids: np.ndarray
    inputs: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


def digest(splits: Mapping[str, Split]) -> str:
    """SHA-256 over every split's ids, inputs and targets, with their shapes and types."""
    hasher = hashlib.sha256()
    for name in SPLITS:
        for array in (splits[name].ids, splits[name].inputs, splits[name].targets):
            hasher.update(f"{name} {array.dtype.str} {array.shape} ".encode())
            hasher.update(np.ascontiguousarray(array).data)
    return "sha256:" + hasher.hexdigest()


def save(folder: Path, spec: DataSpec, splits: Mapping[str, Split]) -> None:
    """Write a prepared data set that is in memory."""
    for name in SPLITS:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for part in ("ids", "inputs", "targets"):
            np.save(folder / name / f"{part}.npy", getattr(splits[name], part), allow_pickle=False)
    save_spec(folder, spec)


def save_spec(folder: Path, spec: DataSpec) -> None:
    """Write `spec.json`, which must come last: a folder that has one is whole."""
    (folder / "spec.json").write_text(json.dumps(asdict(spec), indent=1) + "\n", encoding="utf8")


def load_spec(folder: Path) -> DataSpec:
    """The spec of a prepared data set."""
    try:
        fields: dict[str, Any] = json.loads((folder / "spec.json").read_text(encoding="utf8"))
    except FileNotFoundError:
        raise UserError(str(folder), "no prepared data set here", f"run: dvc repro prepare@{folder.name}") from None
    return spec_of(fields)


def spec_of(fields: Mapping[str, Any]) -> DataSpec:
    """The spec that `spec.json` holds as plain values."""
    return DataSpec(**{**fields, **{key: tuple(fields[key]) for key in ("shape", "classes", "mean", "std")}})


def load_split(folder: Path, name: str) -> Split:
    """One split, memory-mapped. Only evaluation may ask for 'test'."""
    assert name in SPLITS, name
    parts = {}
    for part in ("ids", "inputs", "targets"):
        file = folder / name / f"{part}.npy"
        try:
            parts[part] = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as e:
            right = f"delete {folder} and run: dvc repro prepare@{folder.name}"
            raise UserError(str(file), f"cannot be read ({e})", right) from e
    return Split(**parts)
