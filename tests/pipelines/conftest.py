"""Small DVC repositories whose stages sleep, fail and talk, and one Prefect server for all flow tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

DVC_YAML = """\
stages:
  prepare:
    cmd: python step.py prepare raw.txt data.txt
    deps: [raw.txt, step.py]
    outs: [data.txt]
  train:
    foreach: ${models}
    do:
      cmd: python step.py train@${key} data.txt out/${key}.txt --seconds ${item.seconds} --status ${item.status}
      deps: [data.txt, step.py]
      params: ["models.${key}"]
      outs: ["out/${key}.txt"]
      meta: {cpus: "${item.cpus}", gpus: 0}
  report:
    cmd: python step.py report out report.txt
    deps: [out/a.txt, out/b.txt, step.py]
    outs: [report.txt]
    meta: {always: true}
"""

PARAMS_YAML = """\
models:
  a: {seconds: 0, status: 0, cpus: 1}
  b: {seconds: 0, status: 0, cpus: 1}
"""

# Copies its input, after doing as told: the least a stage does. Appends to `started` so that runs can be counted.
STEP_PY = """\
import os, subprocess, sys, time
name, source, target = sys.argv[1:4]
options = dict(zip(sys.argv[4::2], sys.argv[5::2]))
with open("started", "a") as log:
    print(name, os.environ.get("OMP_NUM_THREADS"), file=log)
print("step", name, "without", os.environ.get("QUINTET_MISSING_STAGES", "nothing"))
if float(options.get("--seconds", 0)) > 5:
    # A worker below the stage, as a data loader is: it has to end as well.
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
time.sleep(float(options.get("--seconds", 0)))
if int(options.get("--status", 0)):
    sys.exit("it was told to fail")
os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
files = [os.path.join(source, n) for n in sorted(os.listdir(source))] if os.path.isdir(source) else [source]
with open(target, "w") as made:
    made.write("".join(open(file).read() for file in files) + name + "\\n")
"""


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template") / "repository"
    root.mkdir()
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], cwd=root, check=True)
    (root / ".dvc" / "config").write_text("[core]\n    analytics = false\n    no_scm = True\n")
    (root / "dvc.yaml").write_text(DVC_YAML)
    (root / "params.yaml").write_text(PARAMS_YAML)
    (root / "step.py").write_text(STEP_PY)
    (root / "raw.txt").write_text("raw\n")
    return root


@pytest.fixture
def repository(template: Path, tmp_path: Path) -> Path:
    """A DVC repository: prepare, train@a and train@b in parallel, report (always)."""
    return Path(shutil.copytree(template, tmp_path / "repository"))


@pytest.fixture
def edit(repository: Path) -> Callable[[str, str, str], None]:
    """Replaces a text in a file of the repository; it must be there."""

    def replace(file: str, old: str, new: str) -> None:
        text = (repository / file).read_text()
        assert old in text
        (repository / file).write_text(text.replace(old, new))

    return replace


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A Prefect server and database of the tests' own."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield
