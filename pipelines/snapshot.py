"""The working tree as it is now, edits and new files included, for a clone on another machine to take on.

Neither a commit nor a push is asked of the user, and results keep naming the commit they come from: a
clone is put on that commit, and the edits lie in it uncommitted, as they do here. What git ignores
stays here: data go by DVC's remote, secrets (`.dvc/config.local`) do not go at all.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from quintet.errors import UserError

_LARGEST_MB = 200


@dataclass(frozen=True)
class Snapshot:
    """A commit, the tree of files to lay over it, and all git objects of both as one pack."""

    project: str
    commit: str
    tree: str
    # The folder of dvc.yaml below the root of the git repository, '' if it is the root.
    prefix: str
    pack: bytes


def take_snapshot(root: Path) -> tuple[Snapshot, frozenset[str]]:
    """The files of the git repository around `root` that git does not ignore, and the names of those below `root`."""
    try:
        top = Path(git(root, "rev-parse", "--show-toplevel"))
        commit = git(root, "rev-parse", "--verify", "HEAD")
        prefix = git(root, "rev-parse", "--show-prefix").rstrip("/")
    except (subprocess.CalledProcessError, FileNotFoundError):
        raise UserError(
            os.fspath(root), "has no git commit for workers to start from", "git init, git commit"
        ) from None
    index = Path(git(root, "rev-parse", "--path-format=absolute", "--git-path", "index"))
    with tempfile.TemporaryDirectory() as scratch:
        # An index of our own: the user's stays as it is.
        own = Path(scratch, "index")
        if index.is_file():
            shutil.copyfile(index, own)
        git(top, "add", "--all", GIT_INDEX_FILE=os.fspath(own))
        tree = git(top, "write-tree", GIT_INDEX_FILE=os.fspath(own))
    pack = _git(top, "pack-objects", "--revs", "--stdout", "--quiet", stdin=f"{commit}\n{tree}\n".encode())
    megabytes = len(pack) // 10**6
    if megabytes > _LARGEST_MB:
        what = f"{megabytes} MB would go to every worker; git should hold code alone"
        raise UserError(os.fspath(top), what, "name large files in .gitignore, or give them to DVC: dvc add FILE")
    below = f"{prefix}/" if prefix else ""
    names = git(top, "ls-tree", "-r", "-z", "--name-only", tree).rstrip("\0").split("\0")
    files = frozenset(name.removeprefix(below) for name in names if name.startswith(below))
    return Snapshot(top.name, commit, tree, prefix, pack), files


def git(folder: Path, *arguments: str, stdin: bytes | None = None, **environment: str) -> str:
    """What git prints, run in `folder`; raises CalledProcessError."""
    return _git(folder, *arguments, stdin=stdin, **environment).decode().strip("\n")


def _git(folder: Path, *arguments: str, stdin: bytes | None = None, **environment: str) -> bytes:
    # A hook or `git rebase --exec` around us would point these at a repository of its own.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        ["git", "-C", folder, *arguments],
        input=stdin,
        env={**inherited, **environment},
        capture_output=True,
        check=True,
    ).stdout
