"""Prepared texts on disk.

data/prepared/<name>/
    spec.json                    what it is
    set_aside.csv                file,reason of every example left out
    tokenizer.json               Hugging Face tokenizers' format, trained on this set's training texts alone
    {train,validation,test}/
        examples.parquet         id and the columns of `quintet.data.text.examples`
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from quintet.data.spec import SPLITS
from quintet.data.text.examples import COLUMNS
from quintet.errors import UserError

EXAMPLES = "examples.parquet"
TOKENIZER = "tokenizer.json"

_TYPES = {
    "id": pa.string(),
    "text": pa.string(),
    "target": pa.int64(),
    "words": pa.list_(pa.string()),
    "tags": pa.list_(pa.string()),
    "question": pa.string(),
    "context": pa.string(),
    "answers": pa.list_(pa.string()),
    "starts": pa.list_(pa.int64()),
    "group": pa.string(),
    "sentences": pa.list_(pa.string()),
}


@dataclass(frozen=True)
class Texts:
    """One split: the examples' ids and columns, as `quintet.data.text.examples.TextExamples` describes them."""

    ids: list[str]
    columns: dict[str, list[Any]]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, column: str) -> list[Any]:
        return self.columns[column]

    @property
    def target(self) -> str:
        """What is learnt from them, told by their columns."""
        return next(target for target, columns in COLUMNS.items() if columns == tuple(self.columns))


def save_texts(folder: Path, split: str, texts: Texts) -> None:
    """Write one split of a prepared set."""
    (folder / split).mkdir(parents=True, exist_ok=True)
    columns = {"id": texts.ids, **texts.columns}
    schema = pa.schema([(name, _TYPES[name]) for name in columns])
    pq.write_table(pa.table(columns, schema=schema), folder / split / EXAMPLES)


def load_texts(folder: Path, split: str) -> Texts:
    """One split of a prepared set. Only evaluation may ask for 'test'."""
    assert split in SPLITS, split
    file = folder / split / EXAMPLES
    try:
        columns: dict[str, list[Any]] = pq.read_table(file).to_pydict()
    except (OSError, pa.ArrowException) as e:
        right = f"delete {folder} and run: dvc repro prepare@{folder.name}"
        raise UserError(str(file), f"cannot be read ({e})", right) from e
    return Texts(columns.pop("id"), columns)


def digest_texts(splits: Mapping[str, Texts]) -> str:
    """SHA-256 over every split's ids and contents."""
    hasher = hashlib.sha256()
    for name in SPLITS:
        texts = splits[name]
        for row in zip(texts.ids, *texts.columns.values(), strict=True):
            hasher.update(json.dumps([name, *row], ensure_ascii=False).encode() + b"\n")
    return "sha256:" + hasher.hexdigest()
