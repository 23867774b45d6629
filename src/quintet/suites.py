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
    current = (root / config.PARAMS).read_text(encoding="utf8") if (root / config.PARAMS).exists() else ""
    lines = []
    for name, file in available(root).items():
        text = file.read_text(encoding="utf8")
        about = text.partition("\n")[0].removeprefix("#").strip() if text.startswith("#") else ""
        lines.append(f"{'*' if text == current else ' '} {name:10} {about}")
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
    wanted = suites[name].read_text(encoding="utf8")
    params = root / config.PARAMS
    current = params.read_text(encoding="utf8") if params.exists() else ""
    if wanted == current:
        return f"suite {name} is in force already"
    changes = "\n".join(
        difflib.unified_diff(current.splitlines(), wanted.splitlines(), config.PARAMS, f"{FOLDER}/{name}.yaml", lineterm="")
    )
    if dry_run:
        return changes
    if current and not _saved(root, current, suites):
        right = f"commit it, or keep it with: cp {config.PARAMS} {FOLDER}/mine.yaml"
        raise UserError(config.PARAMS, "has edits that are saved nowhere and would be lost", right)
    params.write_text(wanted, encoding="utf8")
    return f"{changes}\n\nsuite {name} is in force; next: dvc repro"


def _saved(root: Path, current: str, suites: dict[str, Path]) -> bool:
    """Does this text of params.yaml stand somewhere else as well: as a suite, or committed?"""
    if any(file.read_text(encoding="utf8") == current for file in suites.values()):
        return True
    shown = subprocess.run(["git", "show", f"HEAD:./{config.PARAMS}"], cwd=root, capture_output=True, check=False)
    return shown.returncode == 0 and shown.stdout.decode("utf8", "replace") == current
