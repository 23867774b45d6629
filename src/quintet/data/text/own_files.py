"""Which files of the user's hold which split, told by their names. Standard library only, for `quintet check`."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from quintet.errors import UserError

_ENDINGS = {
    "text-csv": (".csv", ".tsv", ".parquet"),
    "conll": (".conll", ".iob", ".iob2", ".bio", ".tsv", ".txt"),
    "squad-json": (".json",),
    "text-files": (".txt",),
}
_NAMES = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "dev": "validation",
    "devel": "validation",
    "test": "test",
}


def split_files(where: str, path: Path, form: str) -> Iterator[tuple[str | None, Path]]:
    """The split of each file, None for one that has none; a single file is train, to be divided.

    A folder holds files called train, validation (or valid, dev, devel) and test, or, of 'text-files', any number of
    texts at any depth. Hidden files are passed over.
    """
    if not path.exists():
        raise UserError(
            f"{where}.path", f"no such file or folder: {path}", "give the file, or the folder that holds it"
        )
    if path.is_file():
        yield "train", path
        return
    for file in sorted(path.rglob("*")):
        below = file.relative_to(path)
        if file.is_dir() or any(part.startswith(".") for part in below.parts):
            continue
        fits = _ending(file) in _ENDINGS[form] and (form == "text-files" or len(below.parts) == 1)
        split = "train" if form == "text-files" else _NAMES.get(file.name.split(".")[0])
        yield (split if fits else None), file


def _ending(file: Path) -> str:
    return Path(file.name.removesuffix(".gz")).suffix


def check_texts(where: str, path: Path, form: str, columns: tuple[str, ...] = ()) -> None:
    """Raise UserError unless there are files to train on and CSVs have the columns; looks at names and headers."""
    endings = " or ".join(_ENDINGS[form])
    if path.is_file() and _ending(path) not in _ENDINGS[form]:
        raise UserError(f"{where}.path", f"{path} has another ending", f"{form} reads {endings}")
    files = [(split, file) for split, file in split_files(where, path, form) if split is not None]
    if not any(split == "train" for split, _ in files):
        raise UserError(f"{where}.path", f"nothing to train on in {path}", f"it takes a file train with {endings}")
    for _, file in files:
        if columns and file.suffix in (".csv", ".tsv"):
            with file.open(encoding="utf-8-sig", errors="replace", newline="") as handle:
                header = next(csv.reader(handle, delimiter="\t" if file.suffix == ".tsv" else ","), [])
            check_columns(where, file, [name.strip() for name in header], columns)


def check_columns(where: str, file: Path, names: Sequence[str], needed: Sequence[str]) -> None:
    """Raise UserError unless the file has each needed column once."""
    for column in needed:
        if list(names).count(column) != 1:
            what = "no column" if column not in names else "more than one column"
            shown = ",".join(names) or "nothing"
            right = "name the columns with `text` and `label`"
            raise UserError(f"{where}.path", f"{file.name}:1: {what} '{column}' in '{shown}'", right)
