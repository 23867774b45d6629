"""`quintet suite` shows what changes and never loses an edit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from quintet import suites
from quintet.errors import UserError

SUITES = Path(__file__).parents[1] / "suites"


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "core.autocrlf=false"]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with the real suites, 'embedded' in force, all of it committed."""
    shutil.copytree(SUITES, tmp_path / "suites")
    shutil.copy(SUITES / "embedded.yaml", tmp_path / "params.yaml")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "start")
    return tmp_path


def in_force(root: Path) -> bytes:
    return (root / "params.yaml").read_bytes()


def edit(root: Path) -> bytes:
    """A change of the user's that is saved nowhere else."""
    changed = in_force(root).replace(b"epochs: ", b"epochs: 1")
    assert changed != in_force(root)
    (root / "params.yaml").write_bytes(changed)
    return changed


def test_the_list_says_what_each_is_and_marks_the_one_in_force(root):
    *lines, _, hint = suites.show(root).splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")] == sorted(
        file.stem for file in SUITES.glob("*.yaml") if file.stem != "embedded"
    )
    assert next(line for line in lines if line.startswith("* embedded")).endswith("minutes on two cores.")
    assert "suite NAME" in hint


def test_none_is_marked_once_settings_were_changed(root):
    edit(root)
    assert "* " not in suites.show(root).rpartition("\n\n")[0]


def test_a_suite_comes_into_force_byte_by_byte_and_shows_what_changed(root):
    said = suites.put_in_force(root, "smoke")
    assert in_force(root) == (SUITES / "smoke.yaml").read_bytes()
    assert "--- params.yaml\n+++ suites/smoke.yaml\n" in said
    assert "\n-suite: embedded\n" in said
    assert "\n+suite: smoke\n" in said
    assert said.endswith("suite smoke is in force; next: dvc repro")
    assert suites.put_in_force(root, "smoke") == "suite smoke is in force already"


def test_a_dry_run_shows_the_same_and_changes_nothing(root):
    before = in_force(root)
    shown = suites.put_in_force(root, "smoke", dry_run=True)
    assert in_force(root) == before
    assert suites.put_in_force(root, "smoke").startswith(shown)


def test_unsaved_edits_are_not_overwritten(root):
    edited = edit(root)
    with pytest.raises(
        UserError, match="has edits that are saved nowhere and would be lost; commit it, or keep it with: cp"
    ):
        suites.put_in_force(root, "smoke")
    assert in_force(root) == edited
    assert "+suite: smoke" in suites.put_in_force(root, "smoke", dry_run=True)


def test_line_endings_alone_are_an_edit(root):
    (root / "params.yaml").write_bytes(in_force(root).replace(b"\n", b"\r\n"))
    with pytest.raises(UserError, match="has edits"):
        suites.put_in_force(root, "smoke")


@pytest.mark.parametrize("how", ["committed", "a suite of one's own"])
def test_saved_edits_may_go(root, how):
    edit(root)
    if how == "committed":
        git(root, "commit", "-qam", "mine")
    else:
        shutil.copy(root / "params.yaml", root / "suites" / "mine.yaml")
    suites.put_in_force(root, "smoke")
    assert in_force(root) == (SUITES / "smoke.yaml").read_bytes()


def test_an_edit_that_is_only_in_gits_index_is_not_saved(root):
    edit(root)
    git(root, "add", "params.yaml")
    with pytest.raises(UserError, match="has edits"):
        suites.put_in_force(root, "smoke")


def test_outside_of_git_and_without_git_nothing_is_taken_for_saved(root, monkeypatch):
    shutil.rmtree(root / ".git")
    edited = edit(root)
    for path in (None, ""):
        if path is not None:
            monkeypatch.setenv("PATH", path)
        with pytest.raises(UserError, match="has edits"):
            suites.put_in_force(root, "smoke")
    assert in_force(root) == edited


def test_an_edit_that_is_no_text_is_kept_as_well(root):
    (root / "params.yaml").write_bytes(b"\xff\xfe broken")
    assert "* " not in suites.show(root).rpartition("\n\n")[0]
    with pytest.raises(UserError, match="has edits"):
        suites.put_in_force(root, "smoke")


def test_a_project_without_settings_gets_them(root):
    (root / "params.yaml").unlink()
    suites.put_in_force(root, "smoke")
    assert in_force(root) == (SUITES / "smoke.yaml").read_bytes()


def test_a_suite_that_is_not_sound_never_comes_into_force(root):
    before = in_force(root)
    text = (SUITES / "smoke.yaml").read_text(encoding="utf8").replace("name: gru", "name: gro")
    (root / "suites" / "broken.yaml").write_text(text, encoding="utf8")
    with pytest.raises(
        UserError, match=r"suites/broken\.yaml:\d+: experiments.digits-gru.model.name: .* did you mean 'gru'"
    ):
        suites.put_in_force(root, "broken")
    assert in_force(root) == before


def test_a_misspelt_suite_is_told_with_the_nearest(root):
    with pytest.raises(UserError, match="suites: unknown suite 'smok'; did you mean 'smoke'"):
        suites.put_in_force(root, "smok")
