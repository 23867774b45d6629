"""`make audit` against a service of advisories that the test plays."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
UV = ROOT / ".venv" / "bin" / "uv"
# A package may be pinned twice, for different versions of Python.
PINS = set(re.findall(r"^([\w.-]+)==([\w.+]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
CANARY = ("urllib3", "1.24.1")


def advisory(name: str, ident: str, fixed: str) -> dict[str, Any]:
    """One in the format of OSV 1: https://ossf.github.io/osv-schema/"""
    events = [{"introduced": "0"}, {"fixed": fixed}]
    affected = {
        "package": {"name": name, "ecosystem": "PyPI"},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
    }
    return {"id": ident, "summary": "It does what it should not", "affected": [affected]}


class Service(ThreadingHTTPServer):
    """Answers OSV's queries from `known`, advisories by (name, version), and remembers what it was asked."""

    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.known = {CANARY: [advisory("urllib3", "PYSEC-2019-133", "1.24.2")]}
        self.asked: list[tuple[str, str]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/query"


class Answer(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = (question["package"]["name"], question["version"])
        self.server.asked.append(asked)
        found = self.server.known.get(asked)
        body = json.dumps({"vulns": found} if found else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def pip_audit() -> None:
    version = re.search(r"pip-audit==[\d.]+", (ROOT / ".ci" / "audit.py").read_text())
    assert version is not None
    command = [UV, "tool", "run", "--from", version[0], "pip-audit", "--version"]
    if not UV.exists() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip(f"{version[0]} can not be installed here")


def audit(address: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OSV_URL": address, "no_proxy": "127.0.0.1"}
    return subprocess.run(["make", "audit"], cwd=ROOT, env=environment, capture_output=True, text=True)


def test_all_pins_are_looked_up_and_none_is_vulnerable(service: Service, pip_audit: None) -> None:
    done = audit(service.address)
    assert done.returncode == 0, done.stderr
    assert "No known vulnerabilities found" in done.stderr
    asked = set(service.asked) - {CANARY}
    assert {"torch", "mlflow", "prefect"} <= {name for name, _ in asked}
    # Left out is what only other systems install.
    assert len(asked) > 0.8 * len(PINS)
    assert asked <= PINS


def test_a_vulnerable_pin_is_named_with_its_advisory_and_what_mends_it(service: Service, pip_audit: None) -> None:
    version = dict(PINS)["pillow"]
    service.known["pillow", version] = [advisory("pillow", "PYSEC-2099-1", "999.1")]
    done = audit(service.address)
    assert done.returncode != 0
    assert re.search(rf"^pillow +{re.escape(version)} +PYSEC-2099-1 +999\.1", done.stdout, re.MULTILINE), done.stdout
    assert "Found 1 known vulnerability in 1 package" in done.stderr
    assert "NOT PASSED" in done.stderr


def test_a_service_that_knows_nothing_is_not_taken_for_a_clean_result(service: Service) -> None:
    service.known.clear()
    done = audit(service.address)
    assert done.returncode != 0
    assert f"NOT PASSED: {service.address} knows nothing against urllib3 1.24.1" in done.stderr
    assert service.asked == [CANARY]


def test_a_service_out_of_reach_is_named(service: Service) -> None:
    address = service.address
    service.server_close()
    done = audit(address)
    assert done.returncode != 0
    assert f"NOT PASSED: {address} gives no answer" in done.stderr
    assert "Connection refused" in done.stderr
