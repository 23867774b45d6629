"""Scratch projects: a copy of this checkout, as a user's clone would be, with the smoke suite in force."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


class Project:
    """A clone in a folder of its own; what runs there is its own copy of the code."""

    def __init__(self, root: Path) -> None:
        self.root = root
        files = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout.split(b"\0")
        for name in filter(None, files):
            source, target = ROOT / name.decode(), root / name.decode()
            if source.is_file() and name.split(b"/")[0] not in (b"tests", b"docs", b"dvc.lock"):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        shutil.copyfile(root / "suites/smoke.yaml", root / "params.yaml")
        (root / "dvc.lock").unlink(missing_ok=True)
        self.commit("clone")

    @property
    def environment(self) -> dict[str, str]:
        own = {"PYTHONPATH": str(self.root / "src"), "OMP_NUM_THREADS": "1"}
        leaving = ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_STAGE")
        return {k: v for k, v in os.environ.items() if k not in leaving} | own

    def commit(self, message: str) -> None:
        if not (self.root / ".git").exists():
            self.run("git", "init", "--quiet")
        self.run("git", "add", "--all")
        self.run("git", "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "--quiet", "-m", message)

    def start(self, *command: str, **more: str) -> subprocess.Popen[str]:
        """Begin a command in the project, in a process group of its own."""
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=self.environment | more,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, *command: str, status: int = 0, **more: str) -> str:
        """Run a command in the project to its end; returns what it printed."""
        process = self.start(*command, **more)
        output, _ = process.communicate(timeout=800)
        assert process.returncode == status, f"{' '.join(command)} ended with {process.returncode}:\n{output}"
        return output

    def dvc(self, *arguments: str, status: int = 0, **more: str) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments, status=status, **more)

    def quintet(self, *arguments: str, status: int = 0, **more: str) -> str:
        return self.run(sys.executable, "-m", "quintet", *arguments, status=status, **more)

    def repro(self) -> list[str]:
        """`dvc repro`; returns the stages that ran."""
        return stages_run(self.dvc("repro"))

    def edit(self, keys: Sequence[str], value: object) -> None:
        """Set one value in params.yaml."""
        file = self.root / "params.yaml"
        params = yaml.safe_load(file.read_text(encoding="utf8"))
        at = params
        for key in keys[:-1]:
            at = at[key]
        at[keys[-1]] = value
        file.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf8")

    def keep(self, *names: str) -> None:
        """Leave only these trainings in params.yaml, of whatever section, with their data and baselines."""
        file = self.root / "params.yaml"
        params = yaml.safe_load(file.read_text(encoding="utf8"))
        for section in ("experiments", "pretraining", "finetuning"):
            params[section] = {name: entry for name, entry in params[section].items() if name in names}
        trained = [entry for s in ("experiments", "pretraining", "finetuning") for entry in params[s].values()]
        used = {(entry["data"], entry["task"]) for entry in trained}
        baselines = params["baselines"].items()
        params["baselines"] = {name: entry for name, entry in baselines if (entry["data"], entry["task"]) in used}
        params["data"] = {name: entry for name, entry in params["data"].items() if name in {data for data, _ in used}}
        file.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf8")


def stages_run(output: str) -> list[str]:
    """The stages whose commands DVC ran, by what it printed."""
    running = [line for line in output.splitlines() if line.startswith("Running stage '")]
    return [line.split("'")[1] for line in running]


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The smoke suite's classification of digits, run from nothing. Tests that change it change it back."""
    project = Project(tmp_path_factory.mktemp("evaluated"))
    project.keep("digits-lenet", "digits-vit", "digits-gru")
    project.commit("small")
    project.repro()
    return project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A clone in which nothing has run."""
    return Project(tmp_path)
