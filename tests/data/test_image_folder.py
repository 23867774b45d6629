"""The user's own images: good files are prepared, every other is named and refused or set aside."""

from __future__ import annotations

import csv
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from quintet.data import check_source, image_folder, outline
from quintet.data.prepare import prepare
from quintet.data.spec import SPLITS, load_split
from quintet.errors import UserError


def set_aside(out: Path, file: str = "set_aside.csv") -> dict[str, str]:
    """What is listed, with its reason."""
    with (out / file).open(encoding="utf8", newline="") as handle:
        return {row["file"]: row["reason"] for row in csv.DictReader(handle)}


def ids(out: Path) -> list[str]:
    return sorted(name for split in SPLITS for name in load_split(out, split).ids.tolist())


def write_csv(root: Path, *rows: str, header: str = "file,label") -> None:
    (root / "labels.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf8")


def all_rows(root: Path) -> list[str]:
    return [f"{p.relative_to(root).as_posix()},{p.parent.name}" for p in sorted(root.rglob("*.png"))]


def test_a_folder_becomes_a_prepared_set(pets, tmp_path, folder_options):
    options = folder_options(pets)
    spec = prepare(options, "pets", tmp_path / "out")
    assert spec.classes == outline(options).classes == ("cat", "dog")
    assert spec.shape == outline(options).shape == (3, 8, 8)
    assert spec.class_counts == {"train": [4, 4], "validation": [1, 1], "test": [1, 1]}
    assert spec.set_aside == 0
    assert (tmp_path / "out" / "set_aside.csv").read_text() == "file,reason\n"
    assert ids(tmp_path / "out") == sorted(p.relative_to(pets).as_posix() for p in pets.rglob("*.png"))
    for split in (load_split(tmp_path / "out", name) for name in SPLITS):
        assert [spec.classes[t] for t in split.targets] == [name.split("/")[0] for name in split.ids]
    left = {p.name for p in (tmp_path / "out").iterdir()}
    assert left == {"spec.json", "set_aside.csv", *SPLITS}


def test_each_picture_is_stored_under_its_own_id(pets, tmp_path, folder_options, monkeypatch):
    from quintet.data.picture import read_picture

    # Files left out before good ones, when read and after, shift the rows; small batches must not mix them up.
    monkeypatch.setattr(image_folder, "_BATCH_BYTES", 3 * 8 * 8 * 5)
    (pets / "cat" / "00.png").write_bytes(b"damaged")
    (pets / "dog" / "3.png").write_bytes(b"damaged")
    (pets / "ant").mkdir()
    shutil.copy(pets / "cat" / "0.png", pets / "ant" / "0.png")
    prepare(folder_options(pets, on_bad="set-aside"), "pets", tmp_path / "out")
    assert len(ids(tmp_path / "out")) == 10
    for split in (load_split(tmp_path / "out", name) for name in SPLITS):
        for name, pixels in zip(split.ids, split.inputs, strict=True):
            assert np.array_equal(pixels, read_picture(pets / str(name), (8, 8), 3))


def test_preparing_twice_on_another_file_order_or_with_more_threads_gives_the_same_digest(
    pets, tmp_path, folder_options, monkeypatch
):
    first = prepare(folder_options(pets), "pets", tmp_path / "1")
    moved = tmp_path / "moved"
    for path in sorted(pets.rglob("*.png"), reverse=True):
        (moved / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, moved / path.parent.name / path.name)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert prepare(folder_options(moved), "pets", tmp_path / "2").digest == first.digest


def test_grey_and_oblong_sizes_are_as_asked(pets, tmp_path, folder_options):
    spec = prepare(folder_options(pets, channels=1, image_size=[6, 4]), "pets", tmp_path / "out")
    assert spec.shape == load_split(tmp_path / "out", "train").inputs.shape[1:] == (1, 6, 4)
    assert len(spec.mean) == len(spec.std) == 1


BAD = {
    "cat/damaged.png": "not an image",
    "cat/empty.jpg": "empty file",
    "cat/notes.txt": "by its extension ('.txt')",
    "cat/noextension": "no extension",
    "cat/outside.png": "leaves the folder",
    "cat/nothing.png": "a link to nothing",
    "cat/linked": "a link to a folder",
    "cat/pipe.png": "not a regular file",
    "beside.png": "no class",
}


@pytest.fixture
def bad_pets(pets: Path, draw) -> Path:
    """The two classes with a bad file of each kind."""
    cat = pets / "cat"
    (cat / "damaged.png").write_bytes(b"\x89PNG no more")
    (cat / "empty.jpg").touch()
    (cat / "notes.txt").write_text("whiskers")
    (cat / "noextension").write_text("whiskers")
    draw(pets.parent / "elsewhere.png", 99)
    (cat / "outside.png").symlink_to(pets.parent / "elsewhere.png")
    (cat / "nothing.png").symlink_to(cat / "gone.png")
    (cat / "linked").symlink_to(pets / "dog")
    os.mkfifo(cat / "pipe.png")
    draw(pets / "beside.png", 98)
    return pets


def test_refusing_names_the_first_bad_files_in_one_line_and_lists_all(bad_pets, tmp_path, folder_options):
    out = tmp_path / "out"
    with pytest.raises(UserError) as caught:
        prepare(folder_options(bad_pets), "pets", out)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith("own_data.pets: 9 files")
    assert "beside.png (lies beside the class folders, so it has no class), cat/damaged.png" in text
    assert "cat/noextension" not in text
    assert "and 6 more" in text
    assert str(out / "bad_files.csv") in text
    listed = set_aside(out, "bad_files.csv")
    assert listed.keys() == BAD.keys()
    for file, reason in BAD.items():
        assert reason in listed[file]
    assert not (out / "spec.json").exists()


def test_setting_aside_lists_the_same_files_and_keeps_the_others(bad_pets, tmp_path, folder_options):
    out = tmp_path / "out"
    with pytest.raises(UserError):
        prepare(folder_options(bad_pets), "pets", out)
    spec = prepare(folder_options(bad_pets, on_bad="set-aside"), "pets", out)
    assert not (out / "bad_files.csv").exists()
    assert spec.set_aside == len(BAD)
    assert set_aside(out).keys() == BAD.keys()
    assert len(ids(out)) == 12


def test_a_systems_own_files_are_listed_but_no_reason_to_refuse(pets, tmp_path, folder_options):
    for file in (".DS_Store", "cat/.DS_Store", "cat/Thumbs.db"):
        (pets / file).write_bytes(b"\0")
    spec = prepare(folder_options(pets), "pets", tmp_path / "out")
    assert spec.set_aside == 3
    assert set(set_aside(tmp_path / "out")) == {".DS_Store", "cat/.DS_Store", "cat/Thumbs.db"}


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_class_too_small_to_be_split_is_refused_or_set_aside(pets, tmp_path, folder_options, draw, count):
    (pets / "emu").mkdir()
    for i in range(count):
        draw(pets / "emu" / f"{i}.png", 50 + i)
    with pytest.raises(UserError, match=f"class 'emu' needs 3 different usable pictures to be split, and has {count}"):
        prepare(folder_options(pets), "pets", tmp_path / "out")
    spec = prepare(folder_options(pets, on_bad="set-aside"), "pets", tmp_path / "out")
    assert spec.classes == ("cat", "dog")
    assert set(set_aside(tmp_path / "out")) == ({f"emu/{i}.png" for i in range(count)} or {"emu/"})


def test_three_pictures_of_a_class_are_enough(pets, tmp_path, folder_options, draw):
    (pets / "emu").mkdir()
    for i in range(3):
        draw(pets / "emu" / f"{i}.png", 50 + i)
    spec = prepare(folder_options(pets), "pets", tmp_path / "out")
    assert {split: counts[2] for split, counts in spec.class_counts.items()} == {"train": 1, "validation": 1, "test": 1}


def test_three_copies_of_one_picture_are_no_three_pictures(pets, tmp_path, folder_options, draw):
    (pets / "emu").mkdir()
    for i in range(3):
        draw(pets / "emu" / f"{i}.png", 50)
    with pytest.raises(UserError, match="class 'emu' needs 3 different usable pictures to be split, and has 1"):
        prepare(folder_options(pets), "pets", tmp_path / "out")


def test_less_than_two_usable_classes_end_in_an_error_even_when_setting_aside(pets, tmp_path, folder_options):
    for path in (pets / "cat").iterdir():
        path.write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"only 1 class of .* can be used, cat/ \(class 'cat' needs 3"):
        prepare(folder_options(pets, on_bad="set-aside"), "pets", tmp_path / "out")
    assert set_aside(tmp_path / "out", "bad_files.csv").keys() == {"cat/", *(f"cat/{i}.png" for i in range(6))}


def test_copies_are_counted_and_share_a_split(pets, tmp_path, folder_options):
    for i in range(6):
        shutil.copy(pets / "cat" / f"{i}.png", pets / "cat" / f"copy-{i}.png")
    spec = prepare(folder_options(pets), "pets", tmp_path / "out")
    assert spec.copies == {"all": 6, "test_seen": 0}
    for split in SPLITS:
        names = {name for name in load_split(tmp_path / "out", split).ids.tolist() if name.startswith("cat/")}
        assert {name.replace("copy-", "") for name in names} == {name for name in names if "copy-" not in name}


def test_one_picture_under_two_labels_is_named_with_its_twin(pets, tmp_path, folder_options):
    shutil.copy(pets / "cat" / "0.png", pets / "dog" / "same.png")
    with pytest.raises(UserError, match=r"dog/same\.png \(labelled 'dog', but the same picture as cat/0\.png"):
        prepare(folder_options(pets), "pets", tmp_path / "out")
    prepare(folder_options(pets, on_bad="set-aside"), "pets", tmp_path / "out")
    assert set_aside(tmp_path / "out").keys() == {"cat/0.png", "dog/same.png"}


def test_folders_inside_a_class_belong_to_it(pets, tmp_path, folder_options, draw):
    (pets / "cat" / "2024" / "may").mkdir(parents=True)
    draw(pets / "cat" / "2024" / "may" / "a.png", 70)
    spec = prepare(folder_options(pets), "pets", tmp_path / "out")
    assert "cat/2024/may/a.png" in ids(tmp_path / "out")
    assert spec.classes == ("cat", "dog")


def test_a_name_that_is_no_utf8_is_shown_escaped(pets, tmp_path, folder_options):
    shutil.copy(pets / "cat" / "0.png", os.fsencode(pets / "cat") + b"/caf\xe9.png")
    prepare(folder_options(pets, on_bad="set-aside"), "pets", tmp_path / "out")
    assert set_aside(tmp_path / "out") == {"cat/caf\\udce9.png": "the file's name is not valid UTF-8"}


def test_an_error_is_one_line_whatever_a_file_is_called(pets, tmp_path, folder_options):
    (pets / "cat" / "a\nb\x1b[31m.png").write_bytes(b"damaged")
    with pytest.raises(UserError) as caught:
        prepare(folder_options(pets), "pets", tmp_path / "out")
    assert r"cat/a\nb\x1b[31m.png (not an image" in str(caught.value)
    assert set_aside(tmp_path / "out", "bad_files.csv").keys() == {"cat/a\nb\x1b[31m.png"}


def test_a_disk_without_room_ends_before_any_work(pets, tmp_path, folder_options, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 90, 10))
    with pytest.raises(UserError, match="GB on disk"):
        prepare(folder_options(pets), "pets", tmp_path / "out")


def test_long_work_says_how_far_it_is(pets, tmp_path, folder_options, monkeypatch, caplog):
    monkeypatch.setattr(image_folder, "_REPORT_SECONDS", 0.0)
    monkeypatch.setattr(image_folder, "_BATCH_BYTES", 3 * 8 * 8 * 5)
    with caplog.at_level(logging.INFO):
        prepare(folder_options(pets), "pets", tmp_path / "out")
    assert "pets: read 5 of 12 images, about" in caplog.text


def test_a_csv_names_files_and_labels(pets, tmp_path, csv_options):
    write_csv(pets, *all_rows(pets))
    options = csv_options(pets)
    check_source("own_data.pets", options)
    spec = prepare(options, "pets", tmp_path / "out")
    assert spec.classes == ("cat", "dog")
    assert len(ids(tmp_path / "out")) == 12


def test_a_csv_from_a_spreadsheet_is_read(pets, tmp_path, csv_options):
    rows = [f'"{row.split(",")[0]}", {row.split(",")[1]} ,3' for row in all_rows(pets)]
    (pets / "labels.csv").write_bytes(("\r\n".join([" file , label,age", *rows, ""])).encode("utf-8-sig"))
    assert prepare(csv_options(pets), "pets", tmp_path / "out").classes == ("cat", "dog")


BAD_ROWS = {
    "cat/0.png": "1 fields where the header has 2",
    "cat/0.png,cat,cat": "3 fields",
    "cat/gone.png,cat": "cat/gone.png: cannot be opened (No such file or directory)",
    "../secret.png,cat": "../secret.png leaves the folder",
    "cat/../../secret.png,cat": "cat/../../secret.png leaves the folder",
    "/etc/secret.png,cat": "/etc/secret.png leaves the folder",
    "cat/link.png,cat": "cat/link.png: a link that leaves the folder",
    "cat,cat": "a folder, not a file",
    "labels.csv,cat": "not an image by its extension",
    ",cat": "no file named",
    "cat/0.png, ": "no label for cat/0.png",
    "./cat/0.png,cat": "cat/0.png is listed already in line 2",
    "cat/0.png,dog": "cat/0.png is listed already in line 2 with the label 'cat'",
}


def test_bad_rows_are_named_by_line(pets, tmp_path, csv_options, draw):
    draw(tmp_path / "secret.png", 99)
    rows = all_rows(pets)
    (pets / "cat" / "link.png").symlink_to(tmp_path / "secret.png")
    (pets / "cat" / "damaged.png").write_bytes(b"damaged")
    # An empty line is no row, but counts as a line.
    write_csv(pets, *rows, "", *BAD_ROWS, "cat/damaged.png,cat")
    prepare(csv_options(pets, on_bad="set-aside"), "pets", tmp_path / "out")
    listed = set_aside(tmp_path / "out")
    first = 1 + len(rows) + 1 + 1
    assert listed.pop("cat/damaged.png").endswith(f"(labels.csv:{first + len(BAD_ROWS)})")
    assert listed.keys() == {f"labels.csv:{first + i}" for i in range(len(BAD_ROWS))}
    for i, reason in enumerate(BAD_ROWS.values()):
        assert reason in listed[f"labels.csv:{first + i}"]
    assert ids(tmp_path / "out") == sorted(row.split(",")[0] for row in rows)


def test_images_that_the_csv_does_not_name_are_counted(pets, tmp_path, csv_options):
    write_csv(pets, *(row for row in all_rows(pets) if not row.startswith("cat/5")))
    spec = prepare(csv_options(pets), "pets", tmp_path / "out")
    assert "images in the folder that the CSV does not name: 1" in spec.source["note"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"file;label\n", "no column 'file' in 'file;label'"),
        (b"file\n", "labels.csv:1: no column 'label'"),
        (b"file,label,label\n", "more than one column 'label'"),
        (b"", "no column 'file' in 'nothing'"),
        (b"file,label\ncaf\xe9.png,cat\n", "is not UTF-8"),
    ],
)
def test_a_csv_that_cannot_be_one_is_refused_before_any_work(pets, csv_options, content, message):
    (pets / "labels.csv").write_bytes(content)
    for act in (
        lambda: check_source("own_data.pets", csv_options(pets)),
        lambda: prepare(csv_options(pets), "pets", pets.parent / "out"),
    ):
        with pytest.raises(UserError, match=r"own_data\.pets\.labels") as caught:
            act()
        assert message in str(caught.value)


@pytest.mark.parametrize("labels", ["gone.csv", "../labels.csv", "/labels.csv"])
def test_a_csv_that_is_missing_or_outside_is_refused(pets, csv_options, labels):
    write_csv(pets.parent, "a,b")
    with pytest.raises(UserError, match=r"own_data\.pets\.labels: "):
        check_source("own_data.pets", csv_options(pets, labels=labels))
