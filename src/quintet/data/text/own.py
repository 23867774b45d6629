"""The user's own texts: each format's rows, and every one that cannot be used by file and line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from quintet.data.listing import Problem
from quintet.data.options import ConllOptions, OwnTextOptions, SquadJsonOptions, TextCsvOptions, TextFilesOptions
from quintet.data.text.columns import sentences
from quintet.data.text.examples import COLUMNS, TextExamples, tag_names
from quintet.data.text.lines import NOT_UTF8, lines
from quintet.data.text.lines import read as read_file
from quintet.data.text.own_files import check_columns, split_files
from quintet.data.text.prose import sentences_of
from quintet.data.text.questions import questions
from quintet.errors import UserError

_PERHAPS = "\udcff"


class _Collected:
    """Examples while they are read."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.ids = list[str]()
        self.columns: dict[str, list[Any]] = {name: [] for name in COLUMNS[target]}
        self.official = list[str]()
        self.problems = list[Problem]()

    def add(self, place: str, split: str, *values: Any) -> None:
        self.ids.append(place)
        self.official.append(split)
        for column, value in zip(self.columns.values(), values, strict=True):
            column.append(value)

    def examples(self, options: OwnTextOptions, name: str, classes: tuple[str, ...]) -> TextExamples:
        if not self.ids:
            first = f": {self.problems[0].file} ({self.problems[0].reason})" if self.problems else ""
            raise UserError(f"own_data.{name}.path", f"no usable example in {options.path}{first}", "mend the files")
        source = {
            "title": f"{name} (own texts)",
            "licence": "the owner's",
            "source": f"own data, {options.format}",
            "took": "path in params.yaml",
            "path": options.path,
            "note": "",
        }
        problems = sorted(self.problems, key=lambda p: (p.file, p.reason))
        return TextExamples(self.target, self.ids, self.columns, classes, self.official, source, problems)


def read(options: OwnTextOptions, name: str) -> TextExamples:
    """All usable examples, in the files' order; the others are in `set_aside`."""
    where = f"own_data.{name}"
    if isinstance(options, TextCsvOptions):
        return _labelled(where, options, name)
    if isinstance(options, ConllOptions):
        return _tagged(where, options, name)
    if isinstance(options, SquadJsonOptions):
        return _asked(where, options, name)
    assert isinstance(options, TextFilesOptions), options
    return _prose(where, options, name)


def _labelled(where: str, options: TextCsvOptions, name: str) -> TextExamples:
    found = _Collected("class")
    labels = list[str]()
    for split, path in _files(where, options, found):
        rows = _parquet if path.suffix == ".parquet" else _csv
        for place, text, label in rows(where, path, options.text, options.label, found.problems):
            reason = "the text is empty" if not text.strip() else "no label" if not label else None
            if reason:
                found.problems.append(Problem(place, reason))
            else:
                found.add(place, split, text, label)
                labels.append(label)
    classes = tuple(sorted(set(labels)))
    found.columns["target"] = [classes.index(label) for label in labels]
    return found.examples(options, name, classes)


def _files(where: str, options: OwnTextOptions, found: _Collected) -> Iterator[tuple[str, Path]]:
    for split, path in split_files(where, Path(options.path), options.format):
        if split is None:
            found.problems.append(
                Problem(path.name, "not called train, validation or test, with an ending that is read")
            )
        else:
            yield split, path


def _csv(where: str, path: Path, text: str, label: str, problems: list[Problem]) -> Iterator[tuple[str, str, str]]:
    """Place, text and label of each row; white space around a label does not count."""
    # Bytes that are not UTF-8 become lone surrogates, so that the row that has them can be named.
    content = read_file(where, path).removeprefix(b"\xef\xbb\xbf").decode("utf8", "surrogateescape")
    tabs = ".tsv" in path.suffixes
    rows = csv.reader(io.StringIO(content, newline=""), delimiter="\t" if tabs else ",", strict=True)
    header: list[str] | None = None
    while True:
        place = f"{path.name}:{rows.line_num + 1}"
        try:
            row = next(rows)
        except StopIteration:
            break
        except csv.Error as e:
            problems.append(Problem(place, f"not a row of a CSV ({e})"))
            continue
        if header is None:
            header = [cell.strip() for cell in row]
            check_columns(where, path, header, (text, label))
        elif row and len(row) != len(header):
            problems.append(Problem(place, f"{len(row)} fields where the header has {len(header)}"))
        elif row and any("\udc80" <= letter <= _PERHAPS for cell in row for letter in cell):
            problems.append(Problem(place, NOT_UTF8))
        elif row:
            yield place, row[header.index(text)], row[header.index(label)].strip()
    if header is None:
        check_columns(where, path, [], (text, label))


def _parquet(where: str, path: Path, text: str, label: str, problems: list[Problem]) -> Iterator[tuple[str, str, str]]:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as e:
        raise UserError(where, f"cannot read {path} ({e})", "mend it") from e
    check_columns(where, path, table.column_names, (text, label))
    pairs = zip(table[text].to_pylist(), table[label].to_pylist(), strict=True)
    for number, (content, meaning) in enumerate(pairs, 1):
        yield (
            f"{path.name}: row {number}",
            content if isinstance(content, str) else "",
            # A missing number may be NaN, which is not equal to itself.
            "" if meaning is None or meaning != meaning else str(meaning).strip(),
        )


def _tagged(where: str, options: ConllOptions, name: str) -> TextExamples:
    found = _Collected("tags")
    for split, path in _files(where, options, found):
        for sentence in sentences(where, path, options.word_column, options.tag_column):
            if sentence.problem:
                line, reason = sentence.problem
                found.problems.append(Problem(f"{path.name}:{line}", reason))
            else:
                found.add(f"{path.name}:{sentence.line}", split, sentence.words, sentence.tags)
    kinds = {tag[2:] for tags in found.columns["tags"] for tag in tags if tag != "O"}
    return found.examples(options, name, tag_names(kinds))


def _asked(where: str, options: SquadJsonOptions, name: str) -> TextExamples:
    found = _Collected("span")
    first: dict[str, str] = {}
    for split, path in _files(where, options, found):
        for asked in questions(where, path):
            problem = asked.problem
            if not problem and asked.id in first:
                problem = f"the id {asked.id} is that of {first[asked.id]} as well"
            if problem:
                found.problems.append(Problem(asked.place, problem))
                continue
            first[asked.id] = asked.place
            found.add(asked.id, split, *asked.values)
    return found.examples(options, name, ())


def _prose(where: str, options: TextFilesOptions, name: str) -> TextExamples:
    found = _Collected("next")
    for split, path in _files(where, options, found):
        shown = path.name if Path(options.path).is_file() else path.relative_to(options.path).as_posix()
        paragraphs: list[tuple[int, list[str]]] = []
        blank = True
        for number, line in lines(where, path):
            if line is None:
                found.problems.append(Problem(f"{shown}:{number}", NOT_UTF8))
            elif line.strip():
                if blank:
                    paragraphs.append((number, []))
                paragraphs[-1][1].append(line)
            blank = line is not None and not line.strip()
        documents = [(number, sentences_of(" ".join(part))) for number, part in paragraphs]
        if options.documents == "files" and documents:
            documents = [(documents[0][0], [sentence for _, part in documents for sentence in part])]
        if not documents:
            found.problems.append(Problem(shown, "no text in it"))
        for number, document in documents:
            found.add(f"{shown}:{number}", split, document)
    return found.examples(options, name, ("random", "next"))
