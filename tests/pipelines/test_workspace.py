"""What a worker's clone holds, and who works in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.run_stage import StageProcesses
from pipelines.snapshot import git, take_snapshot
from pipelines.workspace import checked_out
from quintet.errors import UserError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A git repository, edited in every way there is since its only commit."""
    root = tmp_path / "project" / "below"
    (root / ".dvc").mkdir(parents=True)
    git(root.parent, "init", "--quiet")
    (root / ".gitignore").write_text("/.dvc/config.local\n/data/\n")
    for name in ("kept", "edited", "deleted", ".dvc/config"):
        (root / name).write_text("before")
    git(root, "add", "--all")
    git(root, "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "--quiet", "-m", "first")
    (root / "edited").write_text("after")
    (root / "deleted").unlink()
    (root / "new").write_text("new")
    (root / ".dvc" / "config.local").write_text("password")
    (root / "data").mkdir()
    (root / "data" / "large").write_text("ignored")
    return root


def test_a_clone_has_the_edits_uncommitted_and_nothing_that_git_ignores(project: Path, tmp_path: Path) -> None:
    status = git(project, "status", "--porcelain")
    snapshot, names = take_snapshot(project)
    assert names == {".gitignore", ".dvc/config", "kept", "edited", "new"}
    with checked_out(snapshot, {"dvc.lock": "stages: {}", "sub.lock": None}, tmp_path / "work") as clone:
        assert clone.root == tmp_path / "work" / "project" / "1" / "below"
        assert git(clone.root, "rev-parse", "HEAD") == git(project, "rev-parse", "HEAD")
        assert (clone.root / "edited").read_text() == "after"
        assert (clone.root / "new").read_text() == "new"
        assert (clone.root / "dvc.lock").read_text() == "stages: {}"
        assert not (clone.root / "deleted").exists()
        assert not (clone.root / "data").exists()
        assert "password" not in (clone.root / ".dvc" / "config.local").read_text()
    # The user's own index and tree are as they were.
    assert git(project, "status", "--porcelain") == status


def test_a_clone_is_used_again_and_follows_the_next_snapshot(project: Path, tmp_path: Path) -> None:
    first, _ = take_snapshot(project)
    with checked_out(first, {}, tmp_path / "work") as clone:
        (clone.root / "data").mkdir()
        (clone.root / "data" / "pulled").write_text("by DVC")
        (clone.root / "litter").write_text("of a stage")
    (project / "new").unlink()
    (project / "edited").write_text("again")
    second, _ = take_snapshot(project)
    with checked_out(second, {}, tmp_path / "work") as again:
        assert again.root == clone.root
        assert (again.root / "edited").read_text() == "again"
        assert (again.root / "data" / "pulled").exists()
        assert not (again.root / "new").exists()
        assert not (again.root / "litter").exists()


def test_a_clone_is_ours_until_the_last_process_in_it_is_gone(project: Path, tmp_path: Path) -> None:
    snapshot, _ = take_snapshot(project)
    with checked_out(snapshot, {}, tmp_path / "work") as clone:
        with checked_out(snapshot, {}, tmp_path / "work") as other:
            assert other.root != clone.root
        processes = StageProcesses(grace_seconds=1, held=[clone.lock])
        process = processes.start([sys.executable, "-c", "import time; time.sleep(60)"], clone.root, {})
    # As after a kill of whoever started it: the guard still holds the lock.
    with checked_out(snapshot, {}, tmp_path / "work") as other:
        assert other.root != clone.root
    processes.end(process)
    assert process.stdout is not None
    process.stdout.close()
    with checked_out(snapshot, {}, tmp_path / "work") as again:
        assert again.root == clone.root


def test_what_can_not_go_to_workers_is_said(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    with pytest.raises(UserError, match="has no git commit"):
        take_snapshot(tmp_path)
    monkeypatch.setattr("pipelines.snapshot._LARGEST_MB", 1)
    (project / "new").write_bytes(os.urandom(3 * 10**6))
    with pytest.raises(UserError, match="3 MB would go to every worker"):
        take_snapshot(project)
