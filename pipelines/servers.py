"""The project's own Prefect and MLflow servers: on loopback, files in the project, gone with their owner."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pipelines import guard
from quintet.errors import UserError
from quintet.tracking.store import Store

LOOPBACK = "127.0.0.1"
_STARTUP_SECONDS = 120.0
_GRACE_SECONDS = 25.0
_BUSY_SECONDS = (0.5, 1.0, 2.0, 4.0)
# Loopback, or the user's own server: a proxy has no business in between.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def server_environment(root: Path) -> dict[str, str]:
    """Variables that keep the servers inside the project, small and off the network; what the user has set stays.

    Prefect reads its own when it is imported, so they have to be in place before.
    """
    defaults = {
        "PREFECT_HOME": os.fspath(root / ".prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_CLI_PROMPT": "false",
        "DO_NOT_TRACK": "1",
        "DVC_NO_ANALYTICS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Seven processes that serve MLflow's language-model features, which nothing here uses.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    return {name: value for name, value in defaults.items() if name not in os.environ}


def answers(address: str) -> bool:
    """Whether something at `address` answers with success."""
    try:
        with _OPENER.open(address, timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def prefect_login() -> str | None:
    """What Prefect's own client shows a server that asks for a login: `user:password`, or None."""
    return os.environ.get("PREFECT_API_AUTH_STRING")


def ask(address: str, body: object = None, timeout_seconds: float = 30.0, login: str | None = None) -> Any:
    """The JSON answer to a POST of `body`, or to a GET if there is none. (`import prefect` would take a second.)

    `login` is `user:password`; a server that asks for none does not look at it. Asked again on 503: Prefect says so
    where its database was busy and nothing has been done, as its own client knows.
    """
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    if login is not None:
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    request = urllib.request.Request(address, data, headers)
    for wait in _BUSY_SECONDS:
        try:
            return _answer(request, timeout_seconds)
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            error.close()
            time.sleep(wait)
    return _answer(request, timeout_seconds)


def _answer(request: urllib.request.Request, timeout_seconds: float) -> Any:
    with _OPENER.open(request, timeout=timeout_seconds) as reply:
        return json.loads(reply.read() or "null")


def running_server(root: Path) -> str | None:
    """The API address of a Prefect server to use: PREFECT_API_URL, else the one `ui` has running for this project."""
    given, own = os.environ.get("PREFECT_API_URL"), addresses(root).get("prefect")
    for api in (given, own and f"{own}/api"):
        if api and answers(f"{api}/health"):
            _check_login(api)
            return api
    return None


def _check_login(api: str) -> None:
    """Raises a UserError where the server at `api` refuses our login: its health it tells to anybody."""
    try:
        ask(f"{api}/admin/version", login=prefect_login())
    except urllib.error.HTTPError as error:
        with error:
            if error.code != HTTPStatus.UNAUTHORIZED:
                raise
        wrong = "asks for a login" if prefect_login() is None else "refuses this login"
        raise UserError("PREFECT_API_AUTH_STRING", f"{api} {wrong}", "set it to the server's user:password") from None


def addresses(root: Path) -> dict[str, str]:
    """What `ui` has written down about the servers it runs: prefect, mlflow, report."""
    file = root / ".prefect" / "servers.json"
    return json.loads(file.read_text()) if file.is_file() else {}


@contextlib.contextmanager
def written_down(root: Path, served: Mapping[str, str]) -> Iterator[None]:
    """Tells other processes of this project, such as flows, where the servers are."""
    file = root / ".prefect" / "servers.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(dict(served), indent=1) + "\n")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def free_port(wanted: int = 0) -> int:
    """`wanted` if nobody listens there, else a free port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted))
        except OSError:
            probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Server:
    """A server that has been started, or a helper without an address.

    It answers only after `wait`, so that several can start at the same time.
    """

    name: str
    address: str
    health: str
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2] or 0)

    def wait(self) -> str:
        """Returns the address once the server answers; a UserError with its last words if it ends before."""
        deadline = time.monotonic() + _STARTUP_SECONDS
        while not answers(f"{self.address}{self.health}"):
            if self.process.poll() is not None or time.monotonic() > deadline:
                tail = self.log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
                raise UserError(self.name, f"did not start: {tail[0]}", f"its log: {self.log}")
            time.sleep(0.1)
        return self.address


@contextlib.contextmanager
def prefect_server(root: Path, port: int = 0, host: str = LOOPBACK) -> Iterator[Server]:
    """Runs a Prefect server on `port`, or a free one; its API is at /api."""
    port = free_port(port)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", str(port)]
    log = root / ".prefect" / "prefect-server.log"
    # Its pages ask port 4200 of the browser's machine unless told otherwise; a path is right wherever they come from.
    with guarded(command, root, log, {"PREFECT_SERVER_UI_API_URL": "/api"}) as process:
        yield Server("Prefect's server", f"http://{LOOPBACK}:{port}", "/api/health", log, process)


@contextlib.contextmanager
def mlflow_ui(root: Path, port: int = 0, host: str = LOOPBACK) -> Iterator[Server]:
    """Runs MLflow's own UI on `port`, or a free one, over the project's store or MLFLOW_TRACKING_URI."""
    port = free_port(port)
    store = Store(root=root)
    if store.is_local:
        store.check()  # made under our lock: with a training that begins now, two processes would make it at once
    command = [sys.executable, "-m", "mlflow", "ui", "--host", host, "--port", str(port), "--workers", "1"]
    command += ["--default-artifact-root", os.fspath(root / "mlruns")]
    log = root / ".prefect" / "mlflow-server.log"
    # Not among the arguments, which any user of the machine can list: there may be a password in it.
    with guarded(command, root, log, {"MLFLOW_BACKEND_STORE_URI": store.uri}) as process:
        yield Server("MLflow's server", f"http://{LOOPBACK}:{port}", "/health", log, process)


@contextlib.contextmanager
def folder_server(root: Path, folder: Path, port: int = 0, host: str = LOOPBACK) -> Iterator[Server]:
    """Serves `folder`, read only, on `port`, or a free one: browsers follow no link from a server's page to a file."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port(port)
    command = [sys.executable, "-m", "http.server", str(port), "--bind", host, "--directory", os.fspath(folder)]
    log = root / ".prefect" / "report-server.log"
    with guarded(command, root, log) as process:
        yield Server("the report's server", f"http://{LOOPBACK}:{port}", "/", log, process)


@contextlib.contextmanager
def helper(name: str, command: Sequence[str], root: Path) -> Iterator[Server]:
    """Runs something that serves nobody, as a worker does."""
    log = root / ".prefect" / f"{name.split()[-1]}.log"
    with guarded(command, root, log) as process:
        yield Server(name, "", "", log, process)


@contextlib.contextmanager
def guarded(
    command: Sequence[str], root: Path, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `command` beside us, its output in `log`; it and all it starts end with this block or with us."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", guard.__file__, str(_GRACE_SECONDS), "-", *command],
            cwd=root,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdin is not None
        try:
            yield process
        finally:
            process.stdin.close()
            if process.wait() < 0:
                # The guard itself was killed, so nobody has ended what it guarded. TERM: others may guard below.
                guard.end_family(process.pid, _GRACE_SECONDS)
