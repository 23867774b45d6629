"""Lines of text files, each of which can be named when something is wrong with it."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from quintet.errors import UserError

NOT_UTF8 = "not UTF-8"


def lines(where: str, path: Path) -> Iterator[tuple[int, str | None]]:
    """Number, from one, and text of each line, without its end; None for one that is not UTF-8.

    A file ending in .gz is unpacked; a byte order mark is left out.
    """
    content = read(where, path).removeprefix(b"\xef\xbb\xbf")
    parts = content.split(b"\n")
    if parts[-1] == b"":
        parts.pop()
    for number, part in enumerate(parts, 1):
        try:
            yield number, part.removesuffix(b"\r").decode("utf8")
        except UnicodeDecodeError:
            yield number, None


def good_lines(where: str, path: Path) -> Iterator[tuple[int, str]]:
    """The same of a file that has no excuse: a line that is not UTF-8 is a UserError."""
    for number, line in lines(where, path):
        if line is None:
            raise UserError(where, f"{path}:{number}: {NOT_UTF8}", "fetch it again")
        yield number, line


def read(where: str, path: Path) -> bytes:
    """A file's bytes, unpacked if it ends in .gz; a UserError if it cannot be read."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as e:
        raise UserError(where, f"cannot read {path} ({e})", "complete or mend it") from e
