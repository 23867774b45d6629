"""The servers of the compose files at work, without containers: who is refused, and what they hold afterwards."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.composed import Composed
from tests.end_to_end.conftest import Project

ROOT = Path(__file__).parents[2]
PROGRAMS = ("initdb", "postgres", "pg_isready", "createdb")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not all(map(shutil.which, PROGRAMS)), reason=f"PostgreSQL is not here (on PATH: {', '.join(PROGRAMS)})"
    ),
]
SECRETS = {
    "POSTGRES_PASSWORD": "correcthorse",
    "PREFECT_AUTH_STRING": "platform:batterystaple",
    "S3_ACCESS_KEY": "storekey",
    "S3_SECRET_KEY": "storesecret",
    "MLFLOW_ADMIN": "platform",
    "MLFLOW_ADMIN_PASSWORD": "batterystaple",
    "MLFLOW_SECRET_KEY": "tr0ub4dor",
}


def composed(name: str, folder: Path, config: pytest.Config) -> Composed:
    file = ROOT / "deploy" / name / "compose.yaml"
    example = dict(re.findall(r"^(\w+)=(.*)$", file.with_name(".env.example").read_text(), re.MULTILINE))
    given = {name: value or SECRETS[name] for name, value in example.items()}
    folder.mkdir()
    return Composed(file, given, folder, config.cache.mkdir("composed"))


def ask(address: str, login: str | None, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    if login is not None:
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        return json.loads(answer.read() or "null")


def refused(address: str, login: str | None, body: object = None) -> bool:
    try:
        ask(address, login, body)
    except urllib.error.HTTPError as error:
        with error:
            return error.code == 401
    return False


@pytest.fixture
def prefect(tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[Composed]:
    with composed("prefect", tmp_path / "prefect", pytestconfig).up() as servers:
        yield servers


@pytest.fixture
def mlflow(tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[Composed]:
    with composed("mlflow", tmp_path / "mlflow", pytestconfig).up() as servers:
        yield servers


def run(*command: str, cwd: Path, env: Mapping[str, str], status: int = 0) -> str:
    done = subprocess.run([sys.executable, "-m", *command], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def wait_until(true: Callable[[], object], seconds: float = 60.0) -> None:
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "it did not come about in time"
        time.sleep(0.2)


def fastest(act: Callable[[], object]) -> float:
    """Seconds that the fastest of several took: each of the server's workers has its own memory."""
    times = []
    for _ in range(12):
        began = time.monotonic()
        act()
        times.append(time.monotonic() - began)
    return min(times)


def test_prefect_runs_our_deployment_for_those_with_the_password(repository: Path, prefect: Composed) -> None:
    shutil.copytree(ROOT / "pipelines", repository / "pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "prefect.yaml", repository)
    api, login = f"{prefect.address('server')}/api", SECRETS["PREFECT_AUTH_STRING"]
    assert refused(f"{api}/flows/filter", None, {})
    assert refused(f"{api}/flows/filter", "platform:wrong", {})
    assert ask(f"{api}/health", None) is True
    assert ask(f"{prefect.address('server')}/ui-settings", None)["auth"] == "BASIC"

    own = {"PREFECT_API_URL": api, "PREFECT_HOME": str(repository / ".prefect"), "PREFECT_CLI_PROMPT": "false"}
    env = {**os.environ, **own, "PREFECT_API_AUTH_STRING": login, "DO_NOT_TRACK": "1", "PYTHONPATH": str(repository)}
    said = run("pipelines", "run", cwd=repository, env={**env, "PREFECT_API_AUTH_STRING": "platform:wrong"}, status=2)
    assert said.strip() == f"PREFECT_API_AUTH_STRING: {api} refuses this login; set it to the server's user:password"

    # As docs/orchestration.md says for servers of one's own.
    run("prefect", "work-pool", "create", "quintet", "--type", "process", cwd=repository, env=env)
    run("prefect", "deploy", "--all", cwd=repository, env=env)
    deployed = {entry["name"]: entry for entry in ask(f"{api}/deployments/filter", login, {})}
    assert set(deployed) == {"on-demand", "nightly", "on-new-data"}
    started = ask(f"{api}/deployments/{deployed['on-demand']['id']}/create_flow_run", login, {})
    run("prefect", "worker", "start", "--pool", "quintet", "--run-once", cwd=repository, env=env)
    ended = ask(f"{api}/flow_runs/{started['id']}", login)
    assert ended["state"]["type"] == "COMPLETED", ended["state"]
    stages = ask(f"{api}/task_runs/filter", login, {"flow_runs": {"id": {"any_": [started["id"]]}}})
    assert {"prepare", "train@a", "train@b", "report"} <= {stage["name"] for stage in stages}

    # What the watcher sends when a folder has changed starts the deployment that waits for it.
    send = "from pipelines.watch import send_event; import sys; send_event(*sys.argv[1:])"
    subprocess.run([sys.executable, "-c", send, api, "data/raw"], cwd=repository, env=env, check=True)
    of_it = {"deployments": {"id": {"any_": [deployed["on-new-data"]["id"]]}}}
    wait_until(lambda: ask(f"{api}/flow_runs/filter", login, of_it))


def test_mlflow_keeps_what_those_with_the_password_train_and_serves_it(project: Project, mlflow: Composed) -> None:
    address, login = mlflow.address("server"), f"{SECRETS['MLFLOW_ADMIN']}:{SECRETS['MLFLOW_ADMIN_PASSWORD']}"
    api = f"{address}/api/2.0/mlflow"
    assert refused(f"{api}/experiments/search?max_results=5", None)
    assert refused(f"{api}/experiments/search?max_results=5", "platform:wrong")
    # Each request of a training would wait while the password is hashed, as for a wrong one it is.
    known = fastest(lambda: ask(f"{api}/experiments/search?max_results=5", login))
    unknown = fastest(lambda: refused(f"{api}/experiments/search?max_results=5", "platform:wrong"))
    assert known < unknown / 2, (known, unknown)
    tracked = {
        "MLFLOW_TRACKING_URI": address,
        "MLFLOW_TRACKING_USERNAME": SECRETS["MLFLOW_ADMIN"],
        "MLFLOW_TRACKING_PASSWORD": SECRETS["MLFLOW_ADMIN_PASSWORD"],
    }
    said = project.quintet("sync", status=2, **{**tracked, "MLFLOW_TRACKING_PASSWORD": "wrong"})
    assert "401" in said

    project.keep("digits-gru")
    project.edit(["seeds"], [0])
    project.commit("small")
    said = project.dvc("repro", **tracked)
    assert "can not be written to" not in said
    assert "digits-gru is champion" in said
    assert " created" not in project.quintet("sync", **tracked)
    runs = ask(f"{api}/runs/search", login, {"experiment_ids": ["1"], "filter": "tags.experiment = 'digits-gru'"})[
        "runs"
    ]
    assert [run["info"]["status"] for run in runs] == ["FINISHED"]
    assert "test_accuracy" in {metric["key"] for metric in runs[0]["data"]["metrics"]}
    with urllib.request.urlopen(f"{mlflow.address('objects')}/mlflow?list-type=2") as answer:
        kept = re.findall(r"<Key>([^<]+)</Key>", answer.read().decode())
    assert any(key.endswith("/artifacts/artifacts/weights.safetensors") for key in kept), kept
    assert any(runs[0]["info"]["run_id"] in key for key in kept), kept

    server = project.start(sys.executable, "-m", "quintet", "serve", "classification-digits", "--port", "0", **tracked)
    try:
        assert server.stdout is not None
        said = "".join(iter(lambda: next(server.stdout), "Ctrl-C ends it.\n"))
        where, example = re.search(r"answers at (\S+)", said), re.search(r"-d '(.*)'", said)
        assert where is not None, said
        assert example is not None, said
        answered = ask(f"{where[1]}/invocations", None, json.loads(example[1]))["predictions"]
        assert set(answered[0]["probabilities"]) == set("0123456789")
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)
