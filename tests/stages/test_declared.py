"""What a stage is told of its declaration."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from quintet.errors import UserError
from quintet.stages import declared

_GRAPH = "stages: {a: {cmd: echo, params: [lr]}, b: {cmd: echo, params: [momentum]}}"
_LOCK = "schema: '2.0'\nstages:\n  b:\n    cmd: echo\n"
# As the reader finds it while DVC writes: no YAML yet, or no entry.
_HALVES = ["schema: '2.0'\nstages:\n  b: {cmd", "schema: '2.0'\nstages:\n  b:\n"]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "dvc.yaml").write_text(_GRAPH)
    (tmp_path / "params.yaml").write_text("{lr: 0.1, momentum: 0.9}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("half", _HALVES)
def test_a_lock_file_that_another_stage_is_writing_is_read_again(repository: Path, half: str) -> None:
    lock = repository / "dvc.lock"
    lock.write_text(half)
    writer = threading.Timer(0.5, lock.write_text, [_LOCK])
    writer.start()
    try:
        assert declared.parameters("a") == {"lr": 0.1}
        assert lock.read_text() == _LOCK, "it was read while half written: this test shows nothing"
    finally:
        writer.join()


def test_a_broken_lock_file_is_named(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repository / "dvc.lock").write_text(_HALVES[0])
    monkeypatch.setattr(declared, "_TRIES", 2)
    with pytest.raises(UserError, match=r"dvc\.lock"):
        declared.parameters("a")


def test_a_stage_that_is_not_there_is_told_at_once(repository: Path) -> None:
    with pytest.raises(UserError, match="stage c"):
        declared.parameters("c")
