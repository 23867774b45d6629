"""Puts prefect.yaml in force on a Prefect server: the work pool, the deployments, nothing twice."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import urllib.error
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import yaml
from filelock import FileLock, Timeout

from pipelines.servers import ask, prefect_login
from quintet.errors import UserError

POOL = "quintet"
FLOW = "quintet"
_STORE = Path(".prefect", "deployed")


def deploy(root: Path, api: str, environment: Mapping[str, str]) -> None:
    """Creates the pool and the deployments, where they are missing or prefect.yaml or the flow has changed.

    Otherwise they are left alone, so that a schedule paused in the UI stays paused.
    """
    _create_pool(api)
    files = [root / "prefect.yaml", Path(__file__).with_name("flow.py")]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    store = root / _STORE
    names = [entry["name"] for entry in yaml.safe_load(files[0].read_text())["deployments"]]
    if store.is_file() and store.read_text() == digest and all(_deployed(api, name) for name in names):
        return
    command = [sys.executable, "-m", "prefect", "deploy", "--all"]
    done = subprocess.run(command, cwd=root, env=dict(environment), capture_output=True, text=True)
    if done.returncode:
        raise UserError("prefect.yaml", " ".join((done.stdout + done.stderr).split()[-60:]))
    store.write_text(digest)


def skip_missed_runs(api: str) -> int:
    """Drops scheduled runs whose time passed while no worker was up; how many.

    A worker would start each of them, one night after the other, to find nothing to do.
    """
    past = {
        "state": {"type": {"any_": ["SCHEDULED"]}},
        "expected_start_time": {"before_": datetime.now(UTC).isoformat()},
        "tags": {"all_": ["auto-scheduled"]},
    }
    missed = ask(
        f"{api}/flow_runs/filter", {"flow_runs": past, "flows": {"name": {"any_": [FLOW]}}}, login=prefect_login()
    )
    state = {"type": "CANCELLED", "name": "Missed", "message": "No worker was up at that time"}
    for run in missed:
        ask(f"{api}/flow_runs/{run['id']}/set_state", {"state": state, "force": True}, login=prefect_login())
    return len(missed)


def settle_lost_runs(root: Path, api: str) -> int:
    """Says Crashed of runs whose process was killed together with its worker, before a new worker starts; how many.

    Nobody else would, and one that looks as if it ran for ever holds the pool's only place.
    """
    try:
        with FileLock(root / ".prefect" / "flow.lock", timeout=0):
            pass
    except Timeout:
        return 0  # one is alive, and will speak for itself
    under_way = {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}}
    lost = ask(
        f"{api}/flow_runs/filter",
        {"flow_runs": under_way, "work_pools": {"name": {"any_": [POOL]}}},
        login=prefect_login(),
    )
    for run in lost:
        asked = run["state_type"] == "CANCELLING"
        state = {"type": "CANCELLED", "name": "Cancelled"} if asked else {"type": "CRASHED", "name": "Crashed"}
        state["message"] = "Its process and its worker were killed"
        ask(f"{api}/flow_runs/{run['id']}/set_state", {"state": state, "force": True}, login=prefect_login())
    return len(lost)


def _create_pool(api: str) -> None:
    # One run at a time: the runs of all deployments share one workspace, and wait for each other.
    pool = {"name": POOL, "type": "process", "concurrency_limit": 1, "description": "Processes on this machine"}
    try:
        ask(f"{api}/work_pools/", pool, login=prefect_login())
    except urllib.error.HTTPError as error:
        with error:
            if error.code != 409:  # it is there
                raise


def _deployed(api: str, name: str) -> bool:
    try:
        ask(f"{api}/deployments/name/{FLOW}/{name}", login=prefect_login())
    except urllib.error.HTTPError as error:
        with error:
            return False
    return True
