"""Rows of a request that stand in a file: CSV, TSV or JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from quintet.serving.adapter import BadInput, Row

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
TABLES = (*_DELIMITERS, ".jsonl")


def rows_of(file: Path, columns: Sequence[str]) -> Iterator[tuple[int, Callable[[], Row]]]:
    """The line at which each row of a table begins, and what makes a mapping of it; both may raise `BadInput`.

    The first line of a CSV has to name `columns`, and may name more.
    """
    content, suffix = decoded(file.read_bytes()), file.suffix.lower()
    return _objects(content) if suffix == ".jsonl" else _records(content, _DELIMITERS[suffix], columns)


def decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise BadInput(f"line {content[: e.start].count(10) + 1} is not UTF-8") from None


def _records(content: str, delimiter: str, columns: Sequence[str]) -> Iterator[tuple[int, Callable[[], Row]]]:
    """The line at which each row of a CSV begins, and what makes a mapping of it."""
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        header = [name.strip() for name in next(reader, [])]
        for column in columns:
            if header.count(column) != 1:
                problem = "more than one column" if column in header else "no column"
                raise BadInput(f"{problem} '{column}' in its first line, '{','.join(header)[:80]}'")
        line = reader.line_num + 1
        for cells in reader:
            if cells:
                yield line, partial(_record, header, cells)
            line = reader.line_num + 1
    except csv.Error as e:
        raise BadInput(f"line {line} is no row of a CSV ({e})") from None


def _record(header: Sequence[str], cells: Sequence[str]) -> Row:
    if len(cells) != len(header):
        raise BadInput(f"{len(cells)} fields where the first line has {len(header)}")
    return dict(zip(header, cells, strict=True))


def _objects(content: str) -> Iterator[tuple[int, Callable[[], Row]]]:
    """Number of each line that is not blank, and what makes a mapping of it."""
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            yield number, partial(_object, line)


def _object(line: str) -> Row:
    try:
        made = json.loads(line)
    except (ValueError, RecursionError):
        raise BadInput("the line is no JSON") from None
    if not isinstance(made, dict):
        raise BadInput("the line is no object, such as {…}")
    return made
