"""Where a run comes from: tags that link it to the commit, the DVC stage and the execution of the pipeline."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

EXECUTION = "quintet.execution"


def provenance(root: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Tags of the process that asks, for `Journal.start`; what is not known is left out.

    git.commit and git.dirty ('true' when tracked files differ from it), dvc.stage ('train@resnet-digits', which
    DVC exports to its stages), prefect.flow_run_id and quintet.execution. No other environment variable is read, so
    that no secret can get into a tag.
    """
    tags = {}
    commit = _git(root, "rev-parse", "HEAD")
    if commit:
        tags["git.commit"] = commit
        tags["git.dirty"] = str(bool(_git(root, "status", "--porcelain", "--untracked-files=no"))).lower()
    if environ.get("DVC_STAGE"):
        tags["dvc.stage"] = environ["DVC_STAGE"]
    flow_run = environ.get("QUINTET_FLOW_RUN_ID") or environ.get("PREFECT__FLOW_RUN_ID")
    if flow_run:
        tags["prefect.flow_run_id"] = flow_run
    execution = flow_run or (_dvc_process() if environ.get("DVC_STAGE") else "")
    if execution:
        tags[EXECUTION] = execution
    return tags


def _dvc_process() -> str:
    """What tells the `dvc repro` (or `dvc exp run`) that runs this stage from all others; empty if there is none.

    All stages of one command are below one process, and no two processes of a machine have the same number and start.
    """
    import psutil

    for process in psutil.Process().parents():
        try:
            words = [Path(word).name for word in process.cmdline()[:3]]
            if words[:1] == ["dvc"] or words[1:2] == ["dvc"] or words[1:3] == ["-m", "dvc"]:
                identity = f"{platform.node()} {process.pid} {process.create_time()}"
                return hashlib.sha256(identity.encode()).hexdigest()[:32]
        except psutil.Error:
            continue
    return ""


def project_root(start: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """The project's root: what DVC exports to its stages, else the nearest parent that DVC knows, else `start`.

    DVC runs some experiments in a temporary copy of the project; DVC_ROOT names the real one even there.
    """
    if environ.get("DVC_ROOT"):
        return Path(environ["DVC_ROOT"]).resolve()
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").is_file() or (folder / ".dvc").is_dir():
            return folder
    return here


def _git(root: Path, *arguments: str) -> str:
    """The command's output; empty if this is no git checkout or git is not installed."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
