"""The compose files: sound, closed to the network, and without a password that anybody could know."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted(ROOT.glob("deploy/*/compose.yaml"))
SECRET = re.compile(r"PASSWORD|SECRET|KEY|AUTH")


def services(file: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text())["services"]
    return found


def example(file: Path) -> dict[str, str]:
    lines = file.with_name(".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.fixture(params=FILES, ids=lambda file: file.parent.name)
def file(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_both_servers_have_one() -> None:
    assert [file.parent.name for file in FILES] == ["mlflow", "prefect"]


def test_follows_the_compose_specification(file: Path) -> None:
    # https://github.com/compose-spec/compose-spec, schema/compose-spec.json, Apache-2.0
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
    jsonschema.Draft7Validator(schema).validate(yaml.safe_load(file.read_text()))


def test_listens_on_loopback_unless_told_otherwise(file: Path) -> None:
    ports = [port for service in services(file).values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("${BIND:-127.0.0.1}:") for port in ports)
    assert example(file)["BIND"] == "127.0.0.1"


def test_a_secret_comes_from_the_environment_and_has_no_default(file: Path) -> None:
    text = file.read_text()
    required = set(re.findall(r"\$\{(\w+):\?", text))
    assert len(required) >= 2
    for service in services(file).values():
        for name, value in service.get("environment", {}).items():
            if SECRET.search(name) and not name.endswith("_PATH"):
                assert re.match(r"\$\{\w+:\?[^}]+\}$", value), name
    # What has a default is no secret, and what has none is empty in the example.
    assert not any(SECRET.search(name) for name in re.findall(r"\$\{(\w+):-", text))
    given = example(file)
    assert {name for name, value in given.items() if not value} == required
    assert set(given) == set(re.findall(r"\$\{(\w+)", text))


def test_no_env_file_is_in_git(file: Path) -> None:
    ignored = subprocess.run(["git", "check-ignore", "-q", file.with_name(".env")], cwd=ROOT)
    assert ignored.returncode == 0


def test_images_have_the_versions_that_the_lock_pins() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    for name in ("prefect", "mlflow"):
        pinned = re.findall(r"\b([a-z]+)(?:\[\w+\])?==([\d.]+)", (ROOT / "deploy" / name / "Dockerfile").read_text())
        assert name in dict(pinned)
        for package, version in pinned:
            assert f"\n{package}=={version} " in lock


@pytest.mark.skipif(shutil.which("docker") is None, reason="there is no docker here")
def test_docker_compose_takes_it_with_secrets_and_refuses_it_without(file: Path, tmp_path: Path) -> None:
    if subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        pytest.skip("this docker has no compose")
    command = ["docker", "compose", "--file", str(file), "--env-file"]
    (tmp_path / "env").write_text("".join(f"{name}={value or 'given'}\n" for name, value in example(file).items()))
    clean = {name: value for name, value in os.environ.items() if name not in example(file)}
    taken = subprocess.run([*command, tmp_path / "env", "config"], env=clean, capture_output=True, text=True)
    assert taken.returncode == 0, taken.stderr
    refused = subprocess.run(
        [*command, file.with_name(".env.example"), "config"], env=clean, capture_output=True, text=True
    )
    assert refused.returncode != 0
    assert "in .env" in refused.stderr
