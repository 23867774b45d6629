"""What a stage declared in dvc.yaml: it sees these parameters and these files, and nothing else."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from quintet.errors import UserError


def parameters(stage: str) -> dict[str, Any]:
    """The parameters that `stage` declares, as nested dictionaries; raises `UserError` if there is no such stage."""
    import dvc.api
    from dvc.exceptions import DvcException

    try:
        shown: dict[str, Any] = dvc.api.params_show(stages=stage, deps=True)
    except DvcException as e:
        raise UserError("dvc.yaml", f"stage {stage}: {e}", "see: dvc stage list") from None
    return shown


def code_digest(stage: str) -> str:
    """SHA-256 over the source files among the stage's deps: what else could change its result."""
    from dvc.repo import Repo

    hasher = hashlib.sha256()
    with Repo() as repo:
        root = Path(repo.root_dir)
        deps = [Path(dep.fs_path) for dep in repo.stage.collect(stage)[0].deps]
    for dep in sorted(deps):
        for file in [dep] if dep.is_file() else sorted(dep.rglob("*.py")):
            if file.suffix == ".py":
                hasher.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return hasher.hexdigest()


def plain_where(*keys: str | int) -> str:
    """Where a setting stands, for errors found inside a stage."""
    return "params.yaml: " + ".".join(str(key) for key in keys)
