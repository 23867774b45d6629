import os
from pathlib import Path

import pytest

from pipelines.watch import Watch, fingerprint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data" / "raw"
    made.mkdir(parents=True)
    (made / "a.png").write_bytes(b"a")
    return made


def test_the_first_look_only_remembers(tmp_path: Path, folder: Path) -> None:
    watch = Watch(tmp_path, "data/raw")
    assert [watch.changed() for _ in range(3)] == [False, False, False]


@pytest.mark.parametrize("change", ["new", "removed", "rewritten", "renamed", "touched deep below"])
def test_notices_every_kind_of_change_once_it_has_settled(tmp_path: Path, folder: Path, change: str) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "b.png").write_bytes(b"b")
    watch = Watch(tmp_path, "data/raw")
    watch.changed()
    if change == "new":
        (folder / "c.png").write_bytes(b"c")
    elif change == "removed":
        (folder / "a.png").unlink()
    elif change == "rewritten":
        (folder / "a.png").write_bytes(b"longer")
    elif change == "renamed":
        (folder / "a.png").rename(folder / "z.png")
    else:
        os.utime(folder / "sub" / "b.png", (1, 1))
    assert not watch.changed()  # may still be changing
    assert watch.changed()
    watch.tell()
    assert not watch.changed()


def test_files_that_are_still_being_copied_are_not_told_of(tmp_path: Path, folder: Path) -> None:
    watch = Watch(tmp_path, "data/raw")
    watch.changed()
    for size in (1, 2, 3):
        (folder / "big").write_bytes(b"x" * size)
        assert not watch.changed()
    assert watch.changed()


def test_a_change_nobody_took_is_told_again_and_one_while_nobody_watched_too(tmp_path: Path, folder: Path) -> None:
    Watch(tmp_path, "data/raw").changed()
    (folder / "c.png").write_bytes(b"c")
    for _ in range(2):  # the second is a watcher started anew
        watch = Watch(tmp_path, "data/raw")
        assert not watch.changed()
        assert watch.changed()
        assert watch.changed()


def test_folders_are_kept_apart_and_need_not_exist_yet(tmp_path: Path, folder: Path) -> None:
    raw, later = Watch(tmp_path, "data/raw"), Watch(tmp_path, "data/later")
    assert not raw.changed()
    assert not later.changed()
    (tmp_path / "data" / "later").mkdir()
    (tmp_path / "data" / "later" / "first.csv").write_text("x")
    assert [later.changed(), later.changed()] == [False, True]
    assert not raw.changed()


def test_an_empty_folder_is_like_none(tmp_path: Path) -> None:
    assert fingerprint(tmp_path) == fingerprint(tmp_path / "absent")
