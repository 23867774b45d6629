"""Answers to what lies in files and folders, batch by batch into one table."""

from __future__ import annotations

import base64
import csv
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from quintet.errors import UserError
from quintet.serving.adapter import Adapter, BadInput, Row, Type

_BATCH = 256
_SECONDS_BETWEEN_LINES = 15.0


@dataclass
class Predicted:
    """What became of the inputs: how many have a row, which have none and why, which files were no inputs."""

    answered: int = 0
    bad: dict[str, str] = field(default_factory=dict)
    passed_over: list[str] = field(default_factory=list)


def predict_files(adapter: Adapter, inputs: Sequence[Path], out: Path, *, skip_bad: bool = False) -> Predicted:
    """Write a row for each input of the files, and of the files in the folders, to `out` (.csv, .jsonl or .parquet).

    A row has `input`, the file's name, and the fields of the answer; in CSV and Parquet the numbers of a map have a
    column each, 'probabilities.cat', and what has no type of its own is JSON. Where answers are pictures `out` may be a
    folder (a name without a dot): they go there as PNG, and their names into `answers.jsonl` beside them. `out`
    appears when all is done. Raises `UserError` that names the first input that can not be read, unless `skip_bad`.
    """
    folder = not out.suffix and adapter.pictures is not None
    if out.suffix not in _WRITERS and not folder:
        right = f"it takes: {', '.join(_WRITERS)}{', or a folder' if adapter.pictures else ''}"
        raise UserError(str(out), f"no table can be written as '{out.suffix}'", right)
    if folder and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(str(out), "is there already", "name a new folder")
    if not out.parent.is_dir():
        raise UserError(str(out.parent), "there is no such folder", "make it first")
    result = Predicted()
    files = _files(inputs, adapter.suffixes, result.passed_over)
    if not files:
        raise UserError(", ".join(map(str, inputs)), "no input in there", f"files are: {' '.join(adapter.suffixes)}")
    partial = out.with_name(f".{out.name}.partial")
    progress = _Progress(len(files))
    try:
        with _writer(adapter, out, partial) as writer:
            names, batch = [], []
            for name, given in _read(adapter, files, result.bad, progress, skip_bad):
                names.append(name)
                batch.append(given)
                if len(batch) == _BATCH:
                    writer.write(_answers(adapter, names, batch))
                    result.answered += len(batch)
                    names, batch = [], []
            if batch:
                writer.write(_answers(adapter, names, batch))
                result.answered += len(batch)
        if not result.answered:
            first = next(iter(result.bad))
            raise UserError(first, f"{result.bad[first]}; none of {len(result.bad)} inputs can be read")
        os.replace(partial, out)
    finally:
        progress.close()
        if folder:
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)
    return result


def _writer(adapter: Adapter, out: Path, partial: Path) -> _Writer:
    if out.suffix:
        return _WRITERS[out.suffix](partial, adapter.gives)
    assert adapter.pictures is not None
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    return _Pictures(partial, adapter.gives, adapter.pictures)


def _answers(adapter: Adapter, names: Sequence[str], inputs: Sequence[Any]) -> list[Row]:
    return [{"input": name, **answer} for name, answer in zip(names, adapter.answer(inputs), strict=True)]


def _files(inputs: Iterable[Path], suffixes: Sequence[str], passed_over: list[str]) -> list[Path]:
    """The files themselves, and those below folders that the adapter reads."""
    found: list[Path] = []
    for given in inputs:
        if not given.is_dir():
            if not given.exists():
                raise UserError(str(given), "there is no such file or folder")
            found.append(given)
            continue
        for file in sorted(p for p in given.rglob("*") if p.is_file()):
            if file.suffix.lower() in suffixes:
                found.append(file)
            else:
                passed_over.append(str(file))
    return found


def _read(
    adapter: Adapter, files: Iterable[Path], bad: dict[str, str], progress: _Progress, skip_bad: bool
) -> Iterator[tuple[str, Any]]:
    """Name and input of all that can be read."""

    def refuse(name: str, reason: Exception) -> None:
        if not skip_bad:
            raise UserError(name, str(reason), "mend it, or leave such inputs out with: --on-bad skip") from None
        bad[name] = str(reason)

    for file in files:
        try:
            for name, read in adapter.inputs_of(file):
                try:
                    given = read()
                except BadInput as e:
                    refuse(name, e)
                else:
                    yield name, given
        except (BadInput, OSError) as e:
            refuse(str(file), e)
        progress.advance()


class _Writer:
    """A table that grows batch by batch; also a context manager."""

    def __init__(self, file: Path, gives: Mapping[str, Type]) -> None:
        self.path, self.gives = file, gives
        self.file: IO[str] = open(file, "w", encoding="utf8", newline="")  # noqa: SIM115  # closed by __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, rows: Sequence[Row]) -> None:
        raise NotImplementedError


class _Jsonl(_Writer):
    def write(self, rows: Sequence[Row]) -> None:
        self.file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


class _Csv(_Writer):
    writer: csv.DictWriter[str] | None = None

    def write(self, rows: Sequence[Row]) -> None:
        flat = [_flat(row) for row in rows]
        if self.writer is None:
            self.writer = csv.DictWriter(self.file, list(flat[0]))
            self.writer.writeheader()
        self.writer.writerows(
            {key: _json(value) if isinstance(value, list) else value for key, value in row.items()} for row in flat
        )


class _Parquet(_Writer):
    writer: pq.ParquetWriter | None = None

    def write(self, rows: Sequence[Row]) -> None:
        loose = {name for name, given in self.gives.items() if given == "any"}
        flat = [{k: _json(v) if k in loose else v for k, v in _flat(row).items()} for row in rows]
        if self.writer is None:
            types = {"input": "string", **self.gives}
            schema = pa.schema([(name, _arrow(types[name.partition(".")[0]])) for name in flat[0]])
            self.writer = pq.ParquetWriter(self.path, schema)
        self.writer.write_table(pa.Table.from_pylist(flat, self.writer.schema))

    def __exit__(self, *_: object) -> None:
        if self.writer is not None:
            self.writer.close()
        super().__exit__()


class _Pictures(_Jsonl):
    """A folder of numbered PNG files; the rows beside them name them in place of the base64."""

    def __init__(self, folder: Path, gives: Mapping[str, Type], field: str) -> None:
        super().__init__(folder / "answers.jsonl", gives)
        self.folder, self.field, self.count = folder, field, 0

    def write(self, rows: Sequence[Row]) -> None:
        super().write([{**row, self.field: self._saved(row[self.field])} for row in rows])

    def _saved(self, given: str | list[str]) -> str | list[str]:
        if isinstance(given, list):
            return [self._one(picture) for picture in given]
        return self._one(given)

    def _one(self, picture: str) -> str:
        name = f"{self.count:05d}.png"
        self.count += 1
        (self.folder / name).write_bytes(base64.b64decode(picture))
        return name


_WRITERS: dict[str, type[_Writer]] = {".csv": _Csv, ".jsonl": _Jsonl, ".parquet": _Parquet}


def _flat(answer: Row) -> Row:
    flat: Row = {}
    for name, value in answer.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            flat[name] = value
    return flat


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _arrow(given: str) -> pa.DataType:
    outer, _, inner = given.rpartition(" of ")
    plain = {"any": pa.string(), "string": pa.string(), "long": pa.int64(), "double": pa.float64()}[inner]
    return pa.list_(plain) if outer == "list" else plain


class _Progress:
    """Files done, on one line that renews itself on a terminal, elsewhere now and then on a line of its own."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self.terminal = sys.stderr.isatty()
        self.shown_at = time.monotonic()

    def advance(self) -> None:
        self.done += 1
        if time.monotonic() - self.shown_at > (0.2 if self.terminal else _SECONDS_BETWEEN_LINES):
            self.shown_at = time.monotonic()
            line = f"{self.done:,} of {self.total:,} files"
            sys.stderr.write(f"\r\033[K{line}" if self.terminal else f"{line}\n")
            sys.stderr.flush()

    def close(self) -> None:
        if self.terminal:
            sys.stderr.write("\r\033[K")
