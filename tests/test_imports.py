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


_MEASURES = (
    "import torch; from torch import nn; from quintet.training.work import flops; "
    "from quintet.training.memory import training_step_megabytes; from quintet.training.settings import Optimiser; "
    "net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2)); x = torch.ones(3, 1, 4, 4); "
    "print(flops(net, x), training_step_megabytes(net, lambda: net(x).sum(), Optimiser(lr=0.1)))"
)


def test_a_stage_that_counts_and_optimises_is_spared_torchs_compiler_until_more_is_asked_of_it():
    spared = f"from quintet.stages.spared import spare_compiler; spare_compiler(); {_MEASURES}"
    assert "sympy" not in loaded(spared)
    assert "sympy" in loaded(
        f"{spared}; import torch._dynamo.utils as used; torch._dynamo.config.verbose; "
        # Loaded once: the compiler's other parts use the same module.
        "import torch._dynamo.convert_frame as user; assert user.counters is used.counters"
    )


def test_a_stage_that_trains_is_spared_the_compiler_and_metrics_that_nobody_takes():
    tasks = ", ".join(f"quintet.tasks.{task}" for task in TASKS)
    spared = "from quintet.stages.spared import spare_compiler, spare_metrics; spare_compiler(); spare_metrics()"
    modules = loaded(f"{spared}; import quintet.stages.train, {tasks}; from torchmetrics.aggregation import MeanMetric")
    assert "pytorch_lightning" in modules
    assert not {"torchvision", "transformers", "scipy", "sympy"} & modules


def test_a_compiled_module_is_known_as_one_by_what_was_loaded_before_the_compiler():
    code = (
        "from quintet.stages.spared import spare_compiler; spare_compiler(); "
        "from torch._dynamo import OptimizedModule; "
        "import torch; net = torch.nn.Linear(2, 2); before = isinstance(net, OptimizedModule); "
        "compiled = torch.compile(net); "
        "after = isinstance(net, OptimizedModule); assert not before and not after; "
        "assert isinstance(compiled, OptimizedModule)"
    )
    assert "sympy" in loaded(code)


def test_the_import_contracts_hold():
    linter = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run(
        [linter, "--no-cache"], cwd=ROOT, env={"PYTHONPATH": f"src{os.pathsep}."}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout
    assert "0 broken" in run.stdout
