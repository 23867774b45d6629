"""Runs what a compose file says without containers: the same commands, environment, versions and health checks.

What an image brings is found here instead: PostgreSQL on this machine, the Python packages that a Dockerfile installs
in a folder of their own. A service listens on a free port of loopback where its container would be published, and its
volumes and copied files lie in a scratch folder. moto takes the place of versitygw, which no package registry has: it
speaks S3, but asks for no keys.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

STAND_IN = "moto[server]==5.2.5"
_UV = Path(sys.executable).with_name("uv")
_READY_SECONDS = 120.0


class Composed:
    """The services of one compose file, with the secrets of `given`; `address` says where each listens."""

    def __init__(self, file: Path, given: Mapping[str, str], folder: Path, kept: Path) -> None:
        self._folder, self._home, self._kept = folder, file.parent, kept
        services = yaml.safe_load(file.read_text())["services"]
        # Ports as containers see them, and PostgreSQL's, which is not published.
        self.ports = {
            name: (int(service["ports"][0].rpartition(":")[2]) if "ports" in service else 5432, _free_port())
            for name, service in services.items()
        }
        self._given = {name: self._here(value, *self.ports["server"]) for name, value in given.items()}
        self.services: dict[str, dict[str, Any]] = {
            name: self._filled(service, name) for name, service in services.items()
        }
        self.image = file.with_name("Dockerfile").read_text()

    def address(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[service][1]}"

    @contextlib.contextmanager
    def up(self) -> Iterator[Composed]:
        """Starts each service once those that it waits for are healthy, and ends them all with the block."""
        with contextlib.ExitStack() as stack:
            started: set[str] = set()
            while left := [name for name in self.services if name not in started]:
                name = next(name for name in left if started >= set(self.services[name].get("depends_on", {})))
                started.add(name)
                start = {"database": self._database, "objects": self._objects, "server": self._server}[name]
                stack.enter_context(start(self.services[name]))
            yield self

    @contextlib.contextmanager
    def _database(self, service: dict[str, Any]) -> Iterator[None]:
        """As the image's entrypoint does it: a cluster, its one user with a password asked for, a database."""
        asked = service["environment"]
        folder, port = self._folder / "database", str(self.ports["database"][1])
        folder.mkdir()
        (folder / "password").write_text(asked["POSTGRES_PASSWORD"])
        user: dict[str, Any] = {}
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            nobody = pwd.getpwnam("nobody")
            user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            for path in (folder, folder / "password"):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
            for above in folder.parents:  # pytest's folders are root's alone
                if above.stat().st_uid == 0 and not above.stat().st_mode & 1:
                    above.chmod(above.stat().st_mode | 0o011)
        cluster = ["initdb", "--pgdata", folder / "data", "--username", asked["POSTGRES_USER"], "--pwfile",
                   folder / "password", "--auth-host=scram-sha-256", "--auth-local=trust", "--no-sync"]  # fmt: skip
        done = subprocess.run(cluster, cwd=folder, capture_output=True, text=True, **user)
        assert done.returncode == 0, done.stderr
        command = ["postgres", "-D", str(folder / "data"), "-k", str(folder), "-p", port, "-c", "fsync=off"]
        environment = {**os.environ, "PGHOST": str(folder), "PGPORT": port}
        with self._process("database", command, environment, **user) as process:
            self._wait("database", [["pg_isready", "--dbname=postgres"]], environment, process)
            make = ["createdb", "--username", asked["POSTGRES_USER"], asked["POSTGRES_DB"]]
            subprocess.run(make, env=environment, check=True)
            self._wait("database", [service["healthcheck"]["test"][1:]], environment, process)
            yield

    @contextlib.contextmanager
    def _objects(self, service: dict[str, Any]) -> Iterator[None]:
        """The stand-in; neither the command nor the health check of versitygw is run."""
        python = self._installed("objects", [STAND_IN])
        command = [str(python.with_name("moto_server")), "-H", "127.0.0.1", "-p", str(self.ports["objects"][1])]
        with self._process("objects", command, dict(os.environ)) as process:
            ask = f"import urllib.request as r; r.urlopen('{self.address('objects')}')"
            self._wait("objects", [[str(python), "-c", ask]], dict(os.environ), process)
            yield

    @contextlib.contextmanager
    def _server(self, service: dict[str, Any]) -> Iterator[None]:
        install = re.search(r"^RUN pip install --no-cache-dir (.*)$", self.image, re.MULTILINE)
        assert install is not None
        python = self._installed(self._home.name, shlex.split(install[1]))
        copied = re.search(r"^COPY (.*) /$", self.image, re.MULTILINE)
        for name in copied[1].split() if copied else ():
            (self._folder / name).write_text(self._inside((self._home / name).read_text()))
        for volume in service.get("volumes", ()):
            (self._folder / volume.rpartition("/")[2]).mkdir()
        # Nothing of ours: a container has an environment of its own.
        environment = {"PATH": f"{python.parent}:{os.defpath}", "HOME": str(self._folder), **service["environment"]}
        with self._process("server", service["command"], environment) as process:
            self._wait("server", [service["healthcheck"]["test"][1:]], environment, process)
            yield

    def _installed(self, name: str, packages: list[str]) -> Path:
        """A Python with these packages, kept from one run of the tests to the next."""
        digest = hashlib.sha256("\n".join([sys.version, *packages]).encode()).hexdigest()[:12]
        folder = self._kept / f"{name}-{digest}"
        python = folder / "bin" / "python"
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            install = [_UV, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, *packages]
            for command in ([_UV, "venv", "--quiet", "--python", sys.executable, folder], install):
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    pytest.skip(f"{' '.join(packages)} can not be installed here: {done.stderr.strip()[-300:]}")
            (folder / "complete").touch()
        return python

    @contextlib.contextmanager
    def _process(
        self, name: str, command: list[str], environment: Mapping[str, str], **user: Any
    ) -> Iterator[subprocess.Popen[bytes]]:
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=self._folder, env=environment, stdout=log, stderr=log, start_new_session=True, **user
            )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                # PostgreSQL: fast; the others end on TERM.
                os.killpg(process.pid, 2 if name == "database" else 15)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()

    def _wait(
        self, name: str, checks: list[list[str]], environment: Mapping[str, str], process: subprocess.Popen[bytes]
    ) -> None:
        """Until the health check passes, run where the service runs."""
        deadline = time.monotonic() + _READY_SECONDS
        while any(subprocess.run(c, env=environment, cwd=self._folder, capture_output=True).returncode for c in checks):
            log = (self._folder / f"{name}.log").read_text(errors="replace")[-3000:]
            assert process.poll() is None, f"{name} ended:\n{log}"
            assert time.monotonic() < deadline, f"{name} is not healthy:\n{log}"
            time.sleep(0.5)

    def _filled(self, value: Any, name: str) -> Any:
        """What compose makes of `value`, at the addresses and paths that hold here."""
        if isinstance(value, dict):
            return {key: self._filled(inner, name) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._filled(inner, name) for inner in value]
        if not isinstance(value, str):
            return value
        text = self._here(self._inside(value), *self.ports[name])
        for other, (there, here) in self.ports.items():
            text = text.replace(f"{other}:{there}", f"127.0.0.1:{here}")
        return re.sub(r"\$\{(\w+):([?-])([^}]*)\}", self._variable, text)

    def _variable(self, found: re.Match[str]) -> str:
        name, kind, text = found.groups()
        return self._given[name] if kind == "?" else self._given.get(name) or text

    def _here(self, text: str, there: int, here: int) -> str:
        """The container's own port and address; published, its 0.0.0.0 is this machine's loopback."""
        return re.sub(rf"\b{there}\b", str(here), text).replace("0.0.0.0", "127.0.0.1")

    def _inside(self, text: str) -> str:
        """Paths at the root of the container."""
        return re.sub(r"(?<![\w/.:}])(?=/(accounts|basic_auth\.ini|make_bucket\.py)\b)|(?<=sqlite:///)(?=/accounts)",
                      str(self._folder), text)  # fmt: skip


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
