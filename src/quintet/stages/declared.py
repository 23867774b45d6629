"""What a stage declared in dvc.yaml: it sees these parameters and these files, and nothing else."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from quintet.errors import UserError

# Tries, a tenth of a second apart.
_TRIES = 50


def parameters(stage: str) -> dict[str, Any]:
    """The parameters that `stage` declares, as nested dictionaries; raises `UserError` if there is no such stage."""
    # What dvc.api.params_show does, without the other stages and without the rest of the API: in half the time.
    from dvc.dependency.param import read_param_file

    shown: dict[str, Any] = {}
    with _declared(stage) as node:
        for file in node.params:
            shown |= read_param_file(file.fs, file.fs_path, list(file.params))
    return shown


def code_digest(stage: str) -> str:
    """SHA-256 over the source files among the stage's deps: what else could change its result."""
    hasher = hashlib.sha256()
    with _declared(stage) as node:
        root = Path(node.repo.root_dir)
        deps = [Path(dep.fs_path) for dep in node.deps]
    for dep in sorted(deps):
        for file in [dep] if dep.is_file() else sorted(dep.rglob("*.py")):
            if file.suffix == ".py":
                hasher.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return hasher.hexdigest()


@contextmanager
def _declared(stage: str) -> Iterator[Any]:
    """DVC's own view of `stage`."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.utils.strictyaml import YAMLSyntaxError, YAMLValidationError

    try:
        with Repo() as repo:
            for left in reversed(range(_TRIES)):
                try:
                    node = repo.stage.collect(stage)[0]
                    break
                except (YAMLSyntaxError, YAMLValidationError):
                    # DVC looks into dvc.lock too, where the entry of a stage that ran beside us may be half written.
                    if not left:
                        raise
                    time.sleep(0.1)
            yield node
    except DvcException as e:
        raise UserError("dvc.yaml", f"stage {stage}: {e}", "see: dvc stage list") from None


def plain_where(*keys: str | int) -> str:
    """Where a setting stands, for errors found inside a stage."""
    return "params.yaml: " + ".".join(str(key) for key in keys)
