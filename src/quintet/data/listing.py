"""The user's own images as names: which file has which class, and what is wrong before a picture is opened.

Standard library only, so that `quintet check` can use it. Every path that is not taken as an example
is returned as a `Problem`; none is passed over.
"""

from __future__ import annotations

import csv
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

from quintet.errors import UserError

# What Pillow's standard build reads and what people keep photographs in.
EXTENSIONS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})

# Left by file managers in any folder they have shown; nobody means them as data.
_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})
SYSTEM_FILE = "made by the operating system, no data"


@dataclass(frozen=True)
class Problem:
    """Something that cannot be used: a file below the data folder, `labels.csv:LINE`, or a class folder `NAME/`."""

    file: str
    reason: str

    @property
    def harmless(self) -> bool:
        """True for a system's own files, which are listed but never a reason to refuse the data."""
        return self.reason == SYSTEM_FILE


@dataclass
class Listing:
    """Files with their classes.

    `ids` are paths below the folder, with forward slashes, sorted; `lines` gives, for each, the line of the
    CSV it stands in; `unlisted` counts the images in the folder that the CSV does not name.
    """

    root: Path
    ids: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    lines: dict[str, str] = field(default_factory=dict)
    unlisted: int = 0

    def with_line(self, problem: Problem) -> Problem:
        """The same with the line of the CSV that names the file, if one does."""
        line = self.lines.get(problem.file)
        return Problem(problem.file, f"{problem.reason} ({line})") if line else problem


def write_problems(path: Path, problems: Iterable[Problem]) -> None:
    """Write them as a CSV with the columns file and reason."""
    with path.open("w", encoding="utf8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["file", "reason"])
        writer.writerows((p.file, p.reason) for p in problems)


def class_folders(root: Path) -> list[str]:
    """The names of the folders in `root`, hidden ones left out, sorted."""
    return sorted(e.name for e in os.scandir(root) if not e.name.startswith(".") and e.is_dir(follow_symlinks=False))


def check_folder(where: str, root: Path) -> None:
    """Raise UserError unless `root` is a folder with at least two class folders."""
    _check_root(where, root)
    found = class_folders(root)
    if len(found) < 2:
        what = f"only one class folder ('{found[0]}')" if found else "no class folders"
        raise UserError(f"{where}.path", f"{what} in {root}", "it takes one folder per class, at least two")


def check_csv(where: str, root: Path, labels: str) -> None:
    """Raise UserError unless `root` is a folder that holds the CSV, with the columns file and label."""
    _check_root(where, root)
    with _open_csv(where, root, labels) as handle:
        _columns(where, labels, csv.reader(handle))


def _check_root(where: str, root: Path) -> None:
    if not root.exists():
        raise UserError(f"{where}.path", f"no such folder: {root}", "give the folder that holds the images")
    if not root.is_dir():
        raise UserError(f"{where}.path", f"not a folder: {root}", "give the folder that holds the images")


def list_folder(root: Path) -> Listing:
    """Every file below each class folder, at any depth; the class is the topmost folder's name."""
    listing = Listing(root)
    # realpath, not absolute: a link inside is compared with the folder's true place.
    home = Path(os.path.realpath(root))
    for entry in sorted(os.scandir(root), key=lambda e: e.name):
        if entry.is_symlink() or not entry.is_dir():
            reason = _not_a_file(Path(entry.path), home) or "lies beside the class folders, so it has no class"
            listing.problems.append(Problem(_shown(entry.name), _system(entry.name) or reason))
        elif entry.name.startswith("."):
            listing.problems.append(Problem(f"{_shown(entry.name)}/", SYSTEM_FILE))
        else:
            _list_class(listing, home, entry.name)
    order = sorted(range(len(listing.ids)), key=listing.ids.__getitem__)
    listing.ids = [listing.ids[i] for i in order]
    listing.labels = [listing.labels[i] for i in order]
    return listing


def _list_class(listing: Listing, home: Path, label: str) -> None:
    if not _valid_name(label):
        listing.problems.append(Problem(f"{_shown(label)}/", "the folder's name is not valid UTF-8"))
        return
    listing.classes.append(label)
    for path in _walk(listing.root / label):
        name = path.relative_to(listing.root).as_posix()
        reason = _system(path.name) or _not_a_file(path, home) or _not_an_image(path)
        if reason:
            listing.problems.append(Problem(_shown(name), reason))
        else:
            listing.ids.append(name)
            listing.labels.append(label)


def _walk(folder: Path) -> Iterator[Path]:
    """Everything below a folder that is not a plain folder itself; links are given, not followed."""
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))
        else:
            yield Path(entry.path)


def list_csv(where: str, root: Path, labels: str) -> Listing:
    """The files that a CSV with the columns file and label names; problems carry its line.

    White space around a value does not count, and other columns are ignored.
    """
    listing = Listing(root)
    home = Path(os.path.realpath(root))
    first_line: dict[str, tuple[int, str]] = {}
    seen: set[str] = set()
    with _open_csv(where, root, labels) as handle:
        rows = csv.reader(handle)
        names = _columns(where, labels, rows)
        while True:
            line = rows.line_num + 1
            try:
                row = next(rows)
            except StopIteration:
                break
            except csv.Error as e:
                listing.problems.append(Problem(f"{labels}:{line}", f"not a row of a CSV ({e})"))
                continue
            if not row:
                continue
            at = f"{labels}:{line}"
            if len(row) != len(names):
                listing.problems.append(Problem(at, f"{len(row)} fields where the header has {len(names)}"))
                continue
            file, label = row[names.index("file")].strip(), row[names.index("label")].strip()
            # One spelling per file: './a.png' and 'a.png' must not count as two.
            name = PurePosixPath(file).as_posix()
            seen.add(name)
            reason = _bad_row(root, home, file, label)
            if reason is None and name in first_line:
                before, other = first_line[name]
                also = "" if other == label else f" with the label '{other}'"
                reason = f"{name} is listed already in line {before}{also}"
            if reason:
                listing.problems.append(Problem(at, reason))
                continue
            first_line[name] = (line, label)
    for name in sorted(first_line):
        listing.ids.append(name)
        listing.labels.append(first_line[name][1])
        listing.lines[name] = f"{labels}:{first_line[name][0]}"
    listing.classes = sorted(set(listing.labels))
    present = (p.relative_to(root).as_posix() for p in _walk(root) if p.suffix.lower() in EXTENSIONS)
    listing.unlisted = sum(name not in seen for name in present)
    return listing


def _bad_row(root: Path, home: Path, file: str, label: str) -> str | None:
    if not file:
        return "no file named"
    if not label:
        return f"no label for {file}"
    if PurePosixPath(file).is_absolute() or PureWindowsPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
        return f"{file} leaves the folder"
    if "\0" in file:
        return f"{file!r} is no file name"
    path = root / file
    return _tell(file, _not_a_file(path, home) or _not_an_image(path))


def _tell(file: str, reason: str | None) -> str | None:
    return f"{file}: {reason}" if reason else None


def _open_csv(where: str, root: Path, labels: str) -> _Lines:
    if ".." in Path(labels).parts or Path(labels).is_absolute():
        raise UserError(f"{where}.labels", f"'{labels}' leaves the folder", "give a file inside it")
    path = root / labels
    if not path.is_file():
        raise UserError(f"{where}.labels", f"no such file: {path}", "give a CSV with the columns file,label")
    return _Lines(where, path)


class _Lines:
    """The lines of a UTF-8 file, an initial byte order mark left out; other encodings are a UserError."""

    def __init__(self, where: str, path: Path) -> None:
        self.where, self.path = where, path

    def __enter__(self) -> Iterator[str]:
        self.handle = self.path.open(encoding="utf-8-sig", newline="")
        return self._read()

    def __exit__(self, *exc: object) -> None:
        self.handle.close()

    def _read(self) -> Iterator[str]:
        try:
            yield from self.handle
        except UnicodeDecodeError:
            raise UserError(f"{self.where}.labels", f"{self.path} is not UTF-8", "save it as UTF-8") from None


def _columns(where: str, labels: str, rows: Iterator[list[str]]) -> list[str]:
    try:
        names = [name.strip() for name in next(rows, [])]
    except csv.Error as e:
        raise UserError(f"{where}.labels", f"{labels}:1: not a row of a CSV ({e})") from None
    for name in ("file", "label"):
        if names.count(name) != 1:
            what = "no column" if name not in names else "more than one column"
            shown = ",".join(names) or "nothing"
            raise UserError(f"{where}.labels", f"{labels}:1: {what} '{name}' in '{shown}'", "it takes: file,label")
    return names


def _system(name: str) -> str | None:
    return SYSTEM_FILE if name.startswith(".") or name.lower() in _SYSTEM_FILES else None


def _not_a_file(path: Path, home: Path) -> str | None:
    """Why `path` is no regular file inside the folder whose true place is `home`, or None."""
    if not _valid_name(path.name):
        return "the file's name is not valid UTF-8"
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(home):
        return "a link that leaves the folder"
    try:
        mode = real.stat().st_mode
    except OSError as e:
        return "a link to nothing" if path.is_symlink() else f"cannot be opened ({e.strerror})"
    if stat.S_ISDIR(mode):
        return "a link to a folder" if path.is_symlink() else "a folder, not a file"
    # Opening a pipe or a device could wait for ever.
    return None if stat.S_ISREG(mode) else "not a regular file"


def _not_an_image(path: Path) -> str | None:
    if path.suffix.lower() not in EXTENSIONS:
        return f"not an image by its extension ('{path.suffix}')" if path.suffix else "no extension"
    return None


def _valid_name(name: str) -> bool:
    try:
        name.encode("utf8")
    except UnicodeEncodeError:
        return False
    return True


def _shown(name: str) -> str:
    return name.encode("utf8", "backslashreplace").decode("utf8")
