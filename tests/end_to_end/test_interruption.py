"""Training that is killed goes on to the same weights, and never counts as done before it is."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Project

pytestmark = pytest.mark.slow

EXPERIMENT = "digits-gru"
TRAIN = (sys.executable, "-m", "quintet", "train", EXPERIMENT)


@pytest.fixture(scope="module")
def longer(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which a training takes some seconds, and is saved many times in that."""
    project = Project(tmp_path_factory.mktemp("longer"))
    project.keep(EXPERIMENT, "digits-lenet")
    project.edit(["training", "budget"], {"epochs": 60})
    project.edit(["training", "augment"], {"crop": 1, "rotate": 10})
    project.edit(["experiments", EXPERIMENT, "model", "settings"], {"hidden_size": 48, "num_layers": 2, "dropout": 0.2})
    project.dvc("repro", "prepare@digits")
    return project


@pytest.fixture(scope="module")
def uninterrupted(longer: Project) -> dict[str, str]:
    longer.run(*TRAIN)
    return weights(longer)


@pytest.fixture
def fresh(longer: Project, uninterrupted: dict[str, str]) -> Iterator[Project]:
    longer.run("rm", "-rf", "outputs", ".scratch")
    yield longer
    longer.run("rm", "-rf", "outputs", ".scratch")


def weights(project: Project) -> dict[str, str]:
    found = sorted((project.root / "outputs/runs" / EXPERIMENT / "train").glob("seed-*/weights.safetensors"))
    return {file.parent.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in found}


def wait_for(project: Project, pattern: str, process: subprocess.Popen[str]) -> Path:
    """The first file that matches, once there is one; the process must not end before."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = next(project.root.glob(pattern), None)
        if found is not None:
            return found
        if process.poll() is not None:
            pytest.fail(f"ended before {pattern} was there: {process.communicate()[0]}")
        time.sleep(0.05)
    pytest.fail(f"{pattern} did not appear")


def interrupt(project: Project, pattern: str, number: signal.Signals) -> tuple[int, str]:
    process = project.start(*TRAIN, QUINTET_CHECKPOINT_SECONDS="0.05")
    wait_for(project, pattern, process)
    os.killpg(process.pid, number)
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_a_killed_training_goes_on_to_the_same_weights(
    fresh: Project, uninterrupted: dict[str, str], number: signal.Signals
) -> None:
    # Once in the first seed, once in the second.
    for pattern in (f".scratch/{EXPERIMENT}-*/seed-0/last.ckpt", f".scratch/{EXPERIMENT}-*/seed-1/last.ckpt"):
        status, _ = interrupt(fresh, pattern, number)
        assert status != 0, "an interrupted training must not look complete"
        assert not weights(fresh)
    fresh.run(*TRAIN)
    assert weights(fresh) == uninterrupted
    run = (fresh.root / "outputs/runs" / EXPERIMENT / "train/seed-1/run.json").read_text(encoding="utf8")
    assert '"resumed": 1' in run
    # Nothing is left but what waits to be sent to MLflow.
    assert [left.name for left in (fresh.root / ".scratch").iterdir()] == ["unsent"]


def test_dvc_does_not_record_a_training_that_was_told_to_end(fresh: Project) -> None:
    process = fresh.start(sys.executable, "-m", "dvc", "repro", "-s", f"train@{EXPERIMENT}")
    wait_for(fresh, f".scratch/{EXPERIMENT}-*/seed-0/weights.safetensors", process)
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    assert f"train@{EXPERIMENT}" not in (fresh.root / "dvc.lock").read_text(encoding="utf8")
    assert not weights(fresh)


def test_a_changed_setting_never_goes_on_from_a_stale_checkpoint(fresh: Project) -> None:
    interrupt(fresh, f".scratch/{EXPERIMENT}-*/seed-0/last.ckpt", signal.SIGKILL)
    (stale,) = fresh.root.glob(f".scratch/{EXPERIMENT}-*")
    # So that what appears next is the other training's.
    (stale / "seed-0/weights.safetensors").unlink(missing_ok=True)
    params = (fresh.root / "params.yaml").read_text(encoding="utf8")
    fresh.edit(["training", "optimiser", "lr"], 0.001)
    try:
        process = fresh.start(*TRAIN)
        wait_for(fresh, f".scratch/{EXPERIMENT}-*/seed-0/weights.safetensors", process)
        assert len(set(fresh.root.glob(f".scratch/{EXPERIMENT}-*")) - {stale}) == 1
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
    finally:
        (fresh.root / "params.yaml").write_text(params, encoding="utf8")


def test_a_damaged_checkpoint_is_named_and_set_aside(fresh: Project, uninterrupted: dict[str, str]) -> None:
    interrupt(fresh, f".scratch/{EXPERIMENT}-*/seed-0/last.ckpt", signal.SIGKILL)
    (checkpoint,) = fresh.root.glob(f".scratch/{EXPERIMENT}-*/seed-0/last.ckpt")
    checkpoint.write_bytes(checkpoint.read_bytes()[: checkpoint.stat().st_size // 2])
    output = fresh.run(*TRAIN)
    assert "last.ckpt can not be read" in output
    assert weights(fresh) == uninterrupted


def test_a_loss_that_is_not_finite_ends_with_the_step_and_the_likely_cause(fresh: Project) -> None:
    params = (fresh.root / "params.yaml").read_text(encoding="utf8")
    fresh.edit(["training", "optimiser"], {"name": "sgd", "lr": 1e20})
    try:
        output = fresh.quintet("train", "digits-lenet", status=2)
    finally:
        (fresh.root / "params.yaml").write_text(params, encoding="utf8")
    (line,) = [line for line in output.splitlines() if line.startswith("quintet:")]
    assert "the loss is" in line
    assert "at step" in line
    assert "learning rate" in line
    assert "Traceback" not in output


def test_a_gpu_that_is_not_there_is_said_in_one_line(fresh: Project) -> None:
    params = (fresh.root / "params.yaml").read_text(encoding="utf8")
    fresh.edit(["trainer", "accelerator"], "gpu")
    try:
        output = fresh.run(*TRAIN, status=2, CUDA_VISIBLE_DEVICES="")
    finally:
        (fresh.root / "params.yaml").write_text(params, encoding="utf8")
    assert output.strip().startswith("quintet: params.yaml: experiments.digits-gru.trainer.accelerator: is 'gpu'")
    assert len(output.strip().splitlines()) == 1
