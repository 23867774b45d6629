"""The one exception for mistakes a user can make and mend."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_LONGEST_SHOWN = 60


class UserError(Exception):
    """Something the user wrote or gave is wrong.

    Its text is one line that says where, what, and what would be right; the command line prints
    it without a traceback and ends with status 2.
    """

    def __init__(self, where: str, what: str, right: str = "") -> None:
        self.where, self.what, self.right = where, what, right
        super().__init__(_one_line(f"{where}: {what}" + (f"; {right}" if right else "")))

    def __reduce__(self) -> tuple[type[UserError], tuple[str, str, str]]:
        return UserError, (self.where, self.what, self.right)


def unknown(where: str, noun: str, given: str, accepted: Iterable[str]) -> UserError:
    """The error for a name that is none of `accepted`, with the nearest of them."""
    names = sorted(accepted)
    given = given if len(given) <= _LONGEST_SHOWN else f"{given[:_LONGEST_SHOWN]}…"
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    right = (f"did you mean '{near[0]}'? " if near else "") + f"it takes: {', '.join(names) or 'none'}"
    return UserError(where, f"unknown {noun} '{given}'", right)


def _one_line(text: str) -> str:
    """Line breaks become spaces; what else a terminal would not print, or would obey, is shown as its escape."""
    text = re.sub(r"\s*[\r\n]\s*", " ", text)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
