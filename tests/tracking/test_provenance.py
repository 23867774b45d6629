import subprocess
from pathlib import Path

from quintet.tracking.provenance import project_root, provenance


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_commit_and_whether_the_files_differ_from_it(tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / "params.yaml").write_text("a: 1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "untracked").touch()
    assert provenance(tmp_path, {}) == {"git.commit": commit, "git.dirty": "false"}
    (tmp_path / "params.yaml").write_text("a: 2")
    assert provenance(tmp_path, {}) == {"git.commit": commit, "git.dirty": "true"}


def test_stage_and_flow_run_come_from_the_environment_and_nothing_else_does(tmp_path: Path) -> None:
    environ = {"DVC_STAGE": "train@lenet-digits", "PREFECT__FLOW_RUN_ID": "f-1", "AWS_SECRET_ACCESS_KEY": "secret"}
    found = {"dvc.stage": "train@lenet-digits", "prefect.flow_run_id": "f-1", "quintet.execution": "f-1"}
    assert provenance(tmp_path, environ) == found
    assert provenance(tmp_path, environ | {"QUINTET_FLOW_RUN_ID": "f-2"})["prefect.flow_run_id"] == "f-2"
    assert provenance(tmp_path, {}) == {}


def test_without_dvc_the_root_is_where_one_is(tmp_path: Path) -> None:
    assert project_root(tmp_path, {}) == tmp_path
