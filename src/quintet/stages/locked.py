"""What dvc.lock says of the results that lie in outputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path

import yaml


def locked(names: Collection[str], root: Path = Path()) -> dict[str, str]:
    """SHA-256 of dvc.lock's entry of each stage: command, inputs, parameters and outputs with their digests.

    A stage is left out whose outputs on disk are not those of its entry (a checkout of another commit, a stage that
    failed): the entry would say nothing of them.
    """
    from dvc.repo import Repo

    file = root / "dvc.lock"
    if not file.exists():
        return {}
    entries = yaml.safe_load(file.read_text(encoding="utf8"))["stages"]
    with Repo(str(root)) as repo:
        stages = {stage.addressing: stage for stage in repo.index.stages if stage.addressing in names}
        return {
            name: hashlib.sha256(json.dumps(entries[name], sort_keys=True).encode()).hexdigest()
            for name, stage in stages.items()
            if name in entries and not any(out.changed_checksum() for out in stage.outs)
        }
