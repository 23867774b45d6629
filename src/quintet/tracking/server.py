"""The champion behind MLflow's own model server, until Ctrl-C."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from quintet.errors import UserError
from quintet.tracking.registry import champion_named, example_of
from quintet.tracking.store import Store

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_START_SECONDS = 300.0
_END_SECONDS = 10.0


def serve(store: Store, name: str, host: str, port: int, say: Callable[[str], None] = print) -> None:
    """Serve the champion called `name` and say where, and how to ask it, once it answers; returns when it has ended.

    Port 0 stands for any that is free. Raises `UserError` if the port is taken or the server does not start.
    """
    found = champion_named(store, name)
    port = _free_port(host, port)
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    # An address that means "all of this machine's" is none that can be asked.
    near = address.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")
    body = json.dumps({"dataframe_records": [example_of(store, found)]})
    programs = Path(sys.executable).parent
    command = ["models", "serve", "-m", f"models:/{found.name}/{found.version}", "--env-manager", "local"]
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *command, "--host", host, "--port", str(port)],
        # In the environment, where no list of processes shows what may be a password.
        env=os.environ | {"MLFLOW_TRACKING_URI": store.uri, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        stdout=sys.stderr,
        start_new_session=True,
    )
    try:
        _wait_until_healthy(server, near)
        say(f"{found.name} version {found.version} ({found.tags.get('experiment')}) answers at {near}")
        if host not in LOOPBACK:
            say(f"It listens on {host}: whoever reaches this machine can ask it; there is no password.")
        say(f"  curl -s {near}/invocations -H 'Content-Type: application/json' -d {shlex.quote(body)}")
        say("Ctrl-C ends it.")
        status = server.wait()
        raise UserError(near, f"the server ended with status {status}")
    except KeyboardInterrupt:
        pass
    finally:
        _end_all(server)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _free_port(host: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as probe:
            return int(probe.getsockname()[1])
    except (OSError, OverflowError) as e:
        raise UserError(f"{host}:{port}", f"can not be listened on ({e})", "choose another --port or --host") from None


def _wait_until_healthy(server: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise UserError(address, f"the server ended with status {server.returncode} before it was ready")
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise UserError(address, f"the server was not ready within {_START_SECONDS:.0f} s")


def _end_all(server: subprocess.Popen[bytes]) -> None:
    """End the server with all it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, number)
        except ProcessLookupError:
            return
        try:
            server.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            continue
