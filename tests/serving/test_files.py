from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pyarrow.parquet as pq
import pytest

from quintet.errors import UserError
from quintet.serving import files
from quintet.serving.adapter import Adapter, BadInput, Row, Type
from quintet.serving.files import predict_files


class Halves(Adapter):
    """Halves numbers that stand one a line."""

    noun = "number"
    takes: ClassVar[Mapping[str, Type]] = {"number": "double"}
    gives: ClassVar[Mapping[str, Type]] = {"half": "double", "by": "map of double", "digits": "list of string"}
    suffixes = (".num",)

    def example(self) -> Row:
        return {"number": 1.0}

    def load(self, weights: Path, files: Mapping[str, Path]) -> None:
        pass

    def read(self, row: Row) -> float:
        try:
            return float(row["number"])
        except ValueError:
            raise BadInput("no number") from None

    def inputs_of(self, file: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
        try:
            lines = file.read_text().splitlines()
        except UnicodeDecodeError:
            raise BadInput("no text") from None
        for i, line in enumerate(lines, 1):
            yield f"{file.name}:{i}", partial(self.read, {"number": line})

    def answer(self, inputs: Sequence[float]) -> list[Row]:
        return [{"half": x / 2, "by": {"a": x, "b": -x}, "digits": list(f"{x:g}")} for x in inputs]


ADAPTER = Halves({}, {})


@pytest.fixture
def numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(files, "_BATCH", 4)
    folder = tmp_path / "numbers"
    folder.mkdir()
    (folder / "b.num").write_text("10\n11\nx\n13\n")
    (folder / "a.num").write_text("".join(f"{i}\n" for i in range(6)))
    (folder / "c.num").write_bytes(b"\xff\xfe\xfd")
    (folder / "other.txt").touch()
    return folder


def test_the_three_tables_say_the_same(numbers: Path, tmp_path: Path) -> None:
    for suffix in ("csv", "jsonl", "parquet"):
        result = predict_files(ADAPTER, [numbers], tmp_path / f"out.{suffix}", skip_bad=True)
        assert result.answered == 9
        assert result.bad == {"b.num:3": "no number", str(numbers / "c.num"): "no text"}
        assert result.passed_over == [str(numbers / "other.txt")]
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["input"] for row in rows] == [*(f"a.num:{i}" for i in range(1, 7)), "b.num:1", "b.num:2", "b.num:4"]
    assert rows[-1] == {"input": "b.num:4", "half": 6.5, "by": {"a": 13.0, "b": -13.0}, "digits": ["1", "3"]}
    flat = [
        {"input": r["input"], "half": r["half"], "by.a": r["by"]["a"], "by.b": r["by"]["b"], "digits": r["digits"]}
        for r in rows
    ]
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == flat
    with (tmp_path / "out.csv").open(newline="") as f:
        read = list(csv.DictReader(f))
    assert [(row["input"], float(row["half"]), json.loads(row["digits"])) for row in read] == [
        (row["input"], row["half"], row["digits"]) for row in rows
    ]


def test_the_first_bad_input_ends_it_and_leaves_what_was_there(numbers: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("before")
    with pytest.raises(UserError, match=r"b.num:3: no number; mend it, or leave such inputs out with: --on-bad skip"):
        predict_files(ADAPTER, [numbers], out)
    assert out.read_text() == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["numbers", "out.csv"]


@pytest.mark.parametrize(
    ("inputs", "out", "message"),
    [
        (["absent"], "out.csv", "absent: there is no such file or folder"),
        (["empty"], "out.csv", "empty: no input in there; files are: .num"),
        (["numbers"], "out.xlsx", "no table can be written as '.xlsx'; it takes: .csv, .jsonl, .parquet"),
        (["numbers"], "absent/out.csv", "absent: there is no such folder"),
        (["numbers/c.num"], "out.csv", "c.num: no text; none of 1 inputs can be read"),
    ],
)
def test_what_can_not_be_done_is_told(
    numbers: Path, monkeypatch: pytest.MonkeyPatch, inputs: list[str], out: str, message: str
) -> None:
    monkeypatch.chdir(numbers.parent)
    Path("empty").mkdir()
    with pytest.raises(UserError) as caught:
        predict_files(ADAPTER, [Path(given) for given in inputs], Path(out), skip_bad=True)
    assert message in str(caught.value)
