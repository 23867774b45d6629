"""Where a public data set's files are found: a folder in params.yaml, the mirror, or the download cache."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from quintet.errors import UserError

log = logging.getLogger(__name__)

_ANSWER_SECONDS = 60


@dataclass(frozen=True)
class Place:
    """A folder that holds a set's files, in the layout `layout`.

    `took` says which of the ways it was found by; `path` is what a reader of results may see: as in
    params.yaml, or below the mirror, so that it is the same on every machine.
    """

    folder: Path
    layout: str
    took: str
    path: str


def find(where: str, given: str | None, layouts: Mapping[str, str]) -> Place | None:
    """The folder named in params.yaml, or else one in the mirror that QUINTET_DATA names; None if neither is set.

    `layouts` gives, for each subfolder to look into, a file that it must hold; the first found counts.
    A folder in params.yaml without any of them is a UserError; a mirror need not hold every set.
    """
    if given is not None:
        layout = _layout(Path(given), layouts)
        if layout is None:
            expected = " or ".join(str(Path(sub) / file) for sub, file in layouts.items())
            raise UserError(f"{where}.path", f"{given} does not hold the set's files", f"it needs {expected}")
        return Place(Path(given) / layout, layout, "path in params.yaml", str(Path(given) / layout))
    folder = mirror()
    if folder is None:
        return None
    layout = _layout(folder, layouts)
    if layout is None:
        log.info("%s: the mirror in QUINTET_DATA has no %s", where, " or ".join(layouts))
        return None
    return Place(folder / layout, layout, "mirror QUINTET_DATA", layout)


def mirror() -> Path | None:
    """The folder that QUINTET_DATA names; a UserError if it is not there."""
    named = os.environ.get("QUINTET_DATA")
    if named and not Path(named).is_dir():
        raise UserError("QUINTET_DATA", f"no such folder: {named}", "name the folder of the mirror, or unset it")
    return Path(named) if named else None


def _layout(root: Path, layouts: Mapping[str, str]) -> str | None:
    return next((sub for sub, file in layouts.items() if (root / sub / file).is_file()), None)


@contextmanager
def download(where: str, url: str) -> Iterator[Path]:
    """The cache folder, held by this process while it downloads into it; a download that fails is a UserError."""
    cache = Path(os.environ.get("QUINTET_CACHE") or Path.home() / ".cache" / "quintet")
    from http.client import HTTPException

    from filelock import FileLock

    advice = "download it elsewhere and give its folder as `path`, or name a mirror in QUINTET_DATA"
    # torchvision sets no limit of its own: a network that swallows packets would hang the stage.
    limit = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_ANSWER_SECONDS)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / "download.lock"):
            yield cache
    except (OSError, RuntimeError, HTTPException) as e:
        raise UserError(where, f"cannot download {url} into {cache} ({_one_line(e)})", advice) from e
    finally:
        socket.setdefaulttimeout(limit)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def verify(where: str, path: Path, md5: str) -> bytes:
    """The file's bytes, if they are the published ones; a UserError names a file that is missing or differs."""
    try:
        content = path.read_bytes()
    except OSError as e:
        raise UserError(where, f"cannot read {path} ({e.strerror})", "complete the folder") from e
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise UserError(where, f"{path} is damaged or another version (its MD5 is not {md5})", "fetch it again")
    return content
