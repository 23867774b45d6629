"""Who knows whom, and what a command loads before it answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from quintet.tasks import TASKS

ROOT = Path(__file__).parents[1]
HEAVY = {
    "torch",
    "torchvision",
    "torchmetrics",
    "pytorch_lightning",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "sklearn",
    "PIL",
    "tokenizers",
    "mlflow",
    "dvc",
    "prefect",
    "matplotlib",
    "jinja2",
    "transformers",
}


def loaded(code: str) -> set[str]:
    """The top-level modules that are loaded once `code` has run in a fresh process."""
    ending = "import sys; print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    code = f"try:\n {code}\nfinally:\n {ending}"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(run.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    "module",
    [
        "config",
        "cli",
        "catalogue",
        "suites",
        "experiment",
        "models",
        "data",
        "tasks",
        "training.settings",
        "tracking.journal",
    ],
)
def test_a_module_that_only_names_things_loads_nothing_heavy(module):
    assert not HEAVY & loaded(f"import quintet.{module}")


@pytest.mark.parametrize(
    "command", [["check"], ["catalogue"], ["catalogue", "vit"], ["suite"], ["suite", "smoke", "-n"]]
)
def test_a_command_that_trains_nothing_loads_nothing_heavy(command):
    assert not HEAVY & loaded(f"from quintet.cli import main; main({command})")


def test_help_does_not_even_load_pydantic():
    modules = loaded("from quintet.cli import main; main(['--help'])")
    assert not (HEAVY | {"pydantic", "yaml"}) & modules


@pytest.mark.parametrize("stage", ["evaluate", "baseline"])
def test_a_stage_that_only_measures_loads_neither_lightning_nor_what_comes_with_it(stage):
    # Each takes as long as torch, or longer; torchvision and torchmetrics bring in torch's compiler and transformers.
    tasks = ", ".join(f"quintet.tasks.{task}" for task in TASKS)
    modules = loaded(f"import quintet.stages.{stage}, {tasks}")
    assert "torch" in modules
    assert not {"torchvision", "torchmetrics", "pytorch_lightning", "transformers", "sympy", "mlflow", "dvc"} & modules


def test_the_import_contracts_hold():
    linter = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run(
        [linter, "--no-cache"], cwd=ROOT, env={"PYTHONPATH": f"src{os.pathsep}."}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout
    assert "0 broken" in run.stdout
