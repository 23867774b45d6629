"""Small DVC repositories whose stages sleep, fail and talk, and one Prefect server for all flow tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines.servers import prefect_server, server_environment

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
    print(name, os.environ.get("OMP_NUM_THREADS"), time.time(), file=log)
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


class Server:
    """A Prefect server, asked over its HTTP API as its UI does. Flows are processes, as users start them."""

    def __init__(self, address: str, environment: dict[str, str]) -> None:
        self.address, self.environment = address, {**os.environ, **environment}

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """POSTs `body` (GETs, if there is none) and reads the answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}/api/{path}", data, {"Content-Type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as reply:
            return json.load(reply)

    def start_flow(self, root: Path, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pipelines", "--root", str(root), "run", *options]
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def flow(self, root: Path, *options: str) -> Ended:
        """Runs the flow to its end."""
        with self.start_flow(root, *options) as process:
            out, err = process.communicate()
        return Ended(self, process.returncode, out.strip(), err)

    def newest_run(self) -> dict[str, Any]:
        run: dict[str, Any] = self.ask("flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 1})[0]
        return run

    def artifact(self, key: str) -> Any:
        """What the newest artifact of this key holds; tables as lists of rows."""
        data = self.ask(f"artifacts/{key}/latest")["data"]
        return json.loads(data) if isinstance(data, str) and data.startswith("[{") else data


@dataclass(frozen=True)
class Ended:
    """A flow that has ended: its exit status, its last line, what it said, and what the server knows of it."""

    server: Server
    status: int
    message: str
    said: str

    def states(self) -> dict[str, str]:
        """Name of each stage's state, once the server has taken in the last event."""
        this = {"flow_runs": {"id": {"any_": [self.server.newest_run()["id"]]}}, "limit": 200}
        deadline = time.monotonic() + 20
        while True:
            states = {run["name"]: run["state_name"] for run in self.server.ask("task_runs/filter", this)}
            if not {"Pending", "Running", None} & set(states.values()) or time.monotonic() > deadline:
                return states
            time.sleep(0.2)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Prefect server of the tests' own, whatever is set in the environment or the home folder."""
    root = tmp_path_factory.mktemp("prefect")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PREFECT_HOME", raising=False)
        environment = server_environment(root)
        for name, value in environment.items():
            patch.setenv(name, value)
        with prefect_server(root) as started:
            address = started.wait()
            here = str(Path(__file__).parents[2])
            yield Server(address, {**environment, "PREFECT_API_URL": f"{address}/api", "PYTHONPATH": here})
