"""Sets in Hugging Face's format, read offline from a local folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quintet.data import named_options, outline
from quintet.data.text.store import load_texts
from quintet.errors import UserError

# Its fork of multiprocessing opens a pool at import where threads run already.
pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    monkeypatch.setenv("QUINTET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def store(folder: Path, **splits: dict[str, list[Any]]) -> str:
    folder.mkdir()
    for split, columns in splits.items():
        pq.write_table(pa.table(columns), folder / f"{split}.parquet")
    return str(folder)


def texts(count: int, prefix: str) -> dict[str, list[Any]]:
    return {"text": [f"{prefix} {i}" for i in range(count)], "label": [["bad", "good"][i % 2] for i in range(count)]}


def test_a_folder_of_parquet_is_read_with_its_splits(named, tmp_path):
    folder = store(tmp_path / "set", train=texts(30, "a"), test=texts(6, "b"))
    entry = {"set": "huggingface", "dataset": folder, "target": "class", "vocabulary": 300}
    seen = outline(named_options("data.x", entry).model_validate(entry))
    assert (seen.kind, seen.target, seen.classes) == ("text", "class", ())
    spec = named(tmp_path / "out", **entry)
    assert spec.classes == ("bad", "good")
    assert spec.counts == {"train": 26, "validation": 4, "test": 6}
    assert load_texts(tmp_path / "out", "test")["text"] == [f"b {i}" for i in range(6)]
    assert spec.source["took"] == "datasets"


def test_numbered_labels_have_their_names_and_hidden_ones_are_refused(named, tmp_path):
    import datasets

    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    (tmp_path / "set").mkdir()
    for split, labels in (("train", [i % 2 for i in range(20)]), ("test", [1, 0, 1]), ("validation", [-1, -1])):
        columns = {"text": [f"{split} {i}" for i in range(len(labels))], "label": labels}
        made = datasets.Dataset.from_dict(columns, features=features)
        made.to_parquet(str(tmp_path / "set" / f"{split}.parquet"))
    files = {"set": "huggingface", "dataset": str(tmp_path / "set"), "target": "class", "vocabulary": 300}
    spec = named(tmp_path / "out", **files)
    assert spec.classes == ("no", "yes")
    assert load_texts(tmp_path / "out", "test")["target"] == [1, 0, 1]
    with pytest.raises(UserError, match=r"validation, row 0: no label \(-1\)"):
        named(tmp_path / "out", **files, splits={"train": "train", "validation": "validation"})


def test_tags_and_questions_are_read_and_checked(named, tmp_path):
    words = {"tokens": [["Anna", f"w{i}"] for i in range(12)], "ner_tags": [["B-PER", "O"]] * 12}
    entry = {"set": "huggingface", "splits": {"train": "train"}, "vocabulary": 300}
    tags = {**entry, "target": "tags", "text": "tokens", "label": "ner_tags"}
    spec = named(tmp_path / "1", dataset=store(tmp_path / "tags", train=words), **tags)
    assert spec.classes == ("O", "B-PER", "I-PER")
    words["ner_tags"][3] = ["O", "I-PER"]
    with pytest.raises(UserError, match="train, row 3: I-PER after O"):
        named(tmp_path / "1", dataset=store(tmp_path / "bad-tags", train=words), **tags)
    asked = {
        "id": [f"q{i}" for i in range(6)],
        "title": [f"t{i // 2}" for i in range(6)],
        "context": [f"Ben is {i}" for i in range(6)],
        "question": ["Who?"] * 6,
        "answers": [{"text": ["Ben"], "answer_start": [0]}] * 6,
    }
    spec = named(tmp_path / "2", dataset=store(tmp_path / "span", train=asked), target="span", length=32, **entry)
    assert sum(spec.counts.values()) == 6


def test_what_cannot_be_read_is_told_in_one_line(named, tmp_path, monkeypatch):
    folder = store(tmp_path / "set", train={**texts(9, "a"), "text": ["a"] * 8 + [""]}, test=texts(2, "b"))
    entry = {"set": "huggingface", "dataset": folder, "target": "class"}
    with pytest.raises(UserError, match="train, row 8: 'text' is no text, or empty"):
        named(tmp_path / "out", **entry)
    with pytest.raises(UserError, match="unknown column 'txt'; did you mean 'text'"):
        named(tmp_path / "out", **entry, text="txt")
    with pytest.raises(UserError, match=r"datasets cannot read .*, split 'dev'"):
        named(tmp_path / "out", **entry, splits={"train": "dev"})
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"the package datasets is not installed; pip install 'quintet\[hub\]'"):
        named(tmp_path / "out", **entry)
