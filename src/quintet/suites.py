"""Ready-made suites, and how one comes into force as params.yaml."""

from __future__ import annotations

import difflib
import subprocess
from pathlib import Path

from quintet import config, yaml_file
from quintet.errors import UserError, unknown

FOLDER = "suites"


def available(root: Path) -> dict[str, Path]:
    """The suites in suites/, by name."""
    return {file.stem: file for file in sorted((root / FOLDER).glob("*.yaml"))}


def show(root: Path) -> str:
    """One line per suite: what it is, and which one is in force."""
    current = _content(root / config.PARAMS)
    lines = []
    for name, file in available(root).items():
        content = _content(file)
        about = content.splitlines()[0].decode("utf8", "replace") if content.startswith(b"#") else ""
        lines.append(f"{'*' if content == current else ' '} {name:10} {about.removeprefix('#').strip()}".rstrip())
    return "\n".join([*lines, "", "(* in force)   quintet suite NAME puts one in force"])


def put_in_force(root: Path, name: str, *, dry_run: bool = False) -> str:
    """Copy a suite to params.yaml; returns what changed.

    Raises `UserError` if there is no such suite, if it is not sound, or if params.yaml holds edits that
    are neither committed nor a suite: they would be lost.
    """
    suites = available(root)
    if name not in suites:
        raise unknown(FOLDER, "suite", name, suites)
    document = yaml_file.load(suites[name])
    config.check(document.content, document.where)
    wanted, current = _content(suites[name]), _content(root / config.PARAMS)
    if wanted == current:
        return f"suite {name} is in force already"
    before, after = (content.decode("utf8", "replace").splitlines() for content in (current, wanted))
    changes = "\n".join(difflib.unified_diff(before, after, config.PARAMS, f"{FOLDER}/{name}.yaml", lineterm=""))
    if dry_run:
        return changes
    if current and not _saved(root, current, suites):
        right = f"commit it, or keep it with: cp {config.PARAMS} {FOLDER}/mine.yaml"
        raise UserError(config.PARAMS, "has edits that are saved nowhere and would be lost", right)
    (root / config.PARAMS).write_bytes(wanted)
    return f"{changes}\n\nsuite {name} is in force; next: dvc repro"


def _content(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""


def _saved(root: Path, current: bytes, suites: dict[str, Path]) -> bool:
    """Does this text of params.yaml stand somewhere else as well: as a suite, or committed?"""
    if any(_content(file) == current for file in suites.values()):
        return True
    try:
        shown = subprocess.run(["git", "show", f"HEAD:./{config.PARAMS}"], cwd=root, capture_output=True, check=False)
    except FileNotFoundError:  # without git nothing is committed
        return False
    return shown.returncode == 0 and shown.stdout == current
