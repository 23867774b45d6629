"""Whether the user's own data can be used as they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from quintet.data.listing import Problem, write_problems
from quintet.data.options import OwnOptions
from quintet.errors import UserError

BAD_FILES = "bad_files.csv"
# How many problems the one-line error names; the file beside it has them all.
_NAMED = 3


def accept(
    options: OwnOptions, name: str, problems: Sequence[Problem], classes: Sequence[str], out: Path, least: int = 2
) -> None:
    """Raise UserError if the user's data must be mended first; the list of all problems lies in `out` then."""
    bad = [p for p in problems if not p.harmless]
    refused = bool(bad) and options.on_bad == "refuse"
    if not refused and len(classes) >= least:
        return
    listed = out / BAD_FILES
    write_problems(listed, problems)
    where, first = f"own_data.{name}", _printable(", ".join(f"{p.file} ({p.reason})" for p in bad[:_NAMED]))
    more = f" and {len(bad) - _NAMED:,} more" if len(bad) > _NAMED else ""
    if refused:
        right = f"all are listed in {listed}: mend or remove them, or set on_bad: set-aside"
        raise UserError(where, f"{len(bad):,} files, rows or classes cannot be used: {first}{more}", right)
    what = f"only {len(classes)} class of {options.path} can be used, {first}{more}"
    raise UserError(where, what, f"it takes two classes or more; what is wrong is listed in {listed}")


def _printable(text: str) -> str:
    """A file's name may contain a line break or a terminal's control codes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
