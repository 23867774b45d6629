"""The SLURM script, with SLURM's commands played by others."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "slurm" / "train.sbatch"

# srun runs the command once per machine; the others say what they were called with.
COMMANDS = {
    "scontrol": 'if [ "$1" = show ]; then printf "one\\ntwo\\n"; else echo "scontrol $*" >> said; fi',
    "srun": """
while [ "${1#--}" != "$1" ]; do shift; done
for node in 1 0; do SLURM_NODEID=$node "$@" & echo $! >> pids; done
wait""",
    "scancel": 'echo "scancel $*" >> said; kill $(cat pids)',
    "dvc": 'echo "dvc $* rank $NODE_RANK at $MASTER_ADDR:$MASTER_PORT" >> said; exec sleep "$SECONDS_TO_TRAIN"',
    "quintet": 'echo "quintet $* rank $NODE_RANK at $MASTER_ADDR:$MASTER_PORT" >> said; exec sleep "$SECONDS_TO_TRAIN"',
}


@pytest.fixture
def submitted(tmp_path: Path) -> dict[str, str]:
    """The environment that SLURM gives the script, in a project."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").touch()
    (tmp_path / "bin").mkdir()
    for name, body in COMMANDS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    own = {"SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_JOB_NODELIST": "[one-two]", "SLURM_JOB_ID": "40007"}
    return {**os.environ, **own, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "SECONDS_TO_TRAIN": "0"}


def said(submitted: dict[str, str]) -> list[str]:
    file = Path(submitted["SLURM_SUBMIT_DIR"]) / "said"
    return sorted(file.read_text().splitlines()) if file.exists() else []


STARTED = [
    "dvc --wait-for-lock repro --single-item train@digits-vit rank 0 at one:20007",
    "quintet train digits-vit rank 1 at one:20007",
]


def test_dvc_runs_on_the_first_machine_and_training_on_all(submitted: dict[str, str]) -> None:
    done = subprocess.run(["bash", SCRIPT, "digits-vit"], env=submitted, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert said(submitted) == STARTED


def test_shortly_before_its_time_is_up_it_ends_the_training_and_queues_again(submitted: dict[str, str]) -> None:
    with subprocess.Popen(["bash", SCRIPT, "digits-vit"], env={**submitted, "SECONDS_TO_TRAIN": "60"}) as job:
        while said(submitted) != STARTED:
            time.sleep(0.05)
        job.send_signal(signal.SIGUSR1)
        assert job.wait(20) == 0
    assert said(submitted) == [STARTED[0], *STARTED[1:], "scancel --signal=TERM 40007", "scontrol requeue 40007"]


def test_an_experiment_has_to_be_named(submitted: dict[str, str]) -> None:
    done = subprocess.run(["bash", SCRIPT], env=submitted, capture_output=True, text=True)
    assert done.returncode != 0
    assert "the name of an experiment" in done.stderr


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="there is no shellcheck here")
def test_shellcheck_finds_nothing() -> None:
    done = subprocess.run(["shellcheck", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
