"""The clones that a worker runs stages in: each for one stage at a time, all with one DVC cache."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.snapshot import Snapshot, git

_CONFIG = """\
[cache]
    dir = {cache}
    type = "reflink,hardlink,copy"
"""


@dataclass(frozen=True)
class Workspace:
    """A clone that is ours: the folder of dvc.yaml in it, and the descriptor of the lock that says so."""

    root: Path
    lock: int


@contextlib.contextmanager
def checked_out(snapshot: Snapshot, locks: Mapping[str, str | None], top: Path) -> Iterator[Workspace]:
    """A clone below `top` for this block, with the snapshot's files in it.

    `locks` holds the dvc.lock files as they are now, by name from the folder of dvc.yaml, None for one that
    there is not. What DVC laid into the clone before stays there, so that data need not be laid out anew.
    """
    project = top / snapshot.project
    with _free_clone(project) as (clone, lock):
        _update(clone, snapshot)
        root = clone / snapshot.prefix
        for name, text in locks.items():
            (root / name).unlink(missing_ok=True) if text is None else (root / name).write_text(text)
        (root / ".dvc" / "config.local").write_text(_CONFIG.format(cache=project / "cache"))
        yield Workspace(root, lock)


@contextlib.contextmanager
def _free_clone(project: Path) -> Iterator[tuple[Path, int]]:
    """The first clone that nobody works in, and its lock, which the kernel frees when the last who holds it is gone."""
    project.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        lock = os.open(project / f"{number}.lock", os.O_RDWR | os.O_CREAT)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield project / str(number), lock
            return
        finally:
            os.close(lock)


def _update(clone: Path, snapshot: Snapshot) -> None:
    """Puts the clone on the snapshot's commit, with the edits on top of it uncommitted."""
    if not (clone / ".git").exists():
        git(clone.parent, "init", "--quiet", clone.name)
    if not _has(clone, snapshot.commit, snapshot.tree):
        git(clone, "index-pack", "--stdin", stdin=snapshot.pack)
    git(clone, "checkout", "--quiet", "--force", "--detach", snapshot.commit)
    git(clone, "clean", "--quiet", "-d", "--force")
    git(clone, "restore", f"--source={snapshot.tree}", "--worktree", "--", ":/")


def _has(clone: Path, *objects: str) -> bool:
    try:
        for name in objects:
            git(clone, "cat-file", "-e", name)
    except subprocess.CalledProcessError:
        return False
    return True
