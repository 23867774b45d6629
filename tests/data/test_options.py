"""Entries of params.yaml are checked without torch, numpy or PIL, and before any file is opened."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest
from pydantic import ValidationError

from quintet.data import DATASETS, OWN_FORMATS, check_source, named_options, outline, own_options
from quintet.errors import UserError

OWN = {"format": "image-folder", "path": "photos", "image_size": [64, 48]}


def test_the_tables_load_none_of_the_heavy_libraries():
    heavy = ("torch", "numpy", "PIL", "sklearn", "tokenizers")
    code = f"import quintet.data, sys; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("entry", [*DATASETS.values(), *OWN_FORMATS.values()], ids=lambda entry: entry.title)
def test_every_entry_of_the_tables_has_its_reader(entry):
    assert callable(import_module(entry.module).read)


@pytest.mark.parametrize("name", sorted(DATASETS.keys() - {"huggingface"}))
def test_a_named_set_needs_no_more_than_its_name(name):
    entry = {"set": name}
    seen = outline(named_options("data.x", entry).model_validate(entry))
    assert (seen.kind, seen.target) == (DATASETS[name].kind, DATASETS[name].target)
    assert len(seen.shape) == {"image": 3, "text": 4}[seen.kind]
    assert seen.classes == DATASETS[name].classes


def test_own_images_have_the_shape_asked_for():
    seen = outline(own_options("own_data.x", OWN).model_validate({**OWN, "channels": 1}))
    assert seen.shape == (1, 64, 48)
    assert seen.classes == ()


@pytest.mark.parametrize(
    "change",
    [
        {"validation": 0.0},
        {"validation": 0.5},
        {"validation": float("nan")},
        {"validation": "0.1"},
        {"test": 0.2},  # Fashion-MNIST's is official
        {"split_seed": -1},
        {"split_seed": 1.5},
        {"split_seed": True},
        {"subset": 1.0},
        {"path": ""},
        {"pth": "x"},
    ],
    ids=str,
)
def test_a_named_entry_is_checked(change):
    entry = {"set": "fashion-mnist", **change}
    with pytest.raises(ValidationError) as caught:
        named_options("data.x", entry).model_validate(entry)
    assert caught.value.errors()[0]["loc"] == tuple(change)


@pytest.mark.parametrize(
    "change",
    [
        {"image_size": [64]},
        {"image_size": [0, 64]},
        {"image_size": [64, 5000]},
        {"image_size": 64},
        {"channels": 2},
        {"on_bad": "ignore"},
        {"labels": "labels.csv"},  # a folder has none
        {"path": ""},
        {"test": 0.5},
    ],
    ids=str,
)
def test_an_own_entry_is_checked(change):
    entry = {**OWN, **change}
    with pytest.raises(ValidationError) as caught:
        own_options("own_data.x", entry).model_validate(entry)
    assert caught.value.errors()[0]["loc"][0] in change


def test_an_unknown_set_or_format_names_the_nearest():
    with pytest.raises(UserError, match=r"data\.x\.set: unknown data set 'digit'; did you mean 'digits'\?"):
        named_options("data.x", {"set": "digit"})
    with pytest.raises(UserError, match=r"own_data\.x\.format: unknown format 'image_folder'; did you mean"):
        own_options("own_data.x", {"format": "image_folder"})
    with pytest.raises(UserError, match=r"data\.x: has no 'set'; it takes: cifar10, digits, digits-outlines"):
        named_options("data.x", {})
    with pytest.raises(UserError, match="unknown data set '3'"):
        named_options("data.x", {"set": 3})


def test_a_missing_folder_is_named_before_any_work(tmp_path, monkeypatch, folder_options):
    monkeypatch.setenv("QUINTET_DATA", str(tmp_path / "gone"))
    fashion = {"set": "fashion-mnist"}
    with pytest.raises(UserError, match="QUINTET_DATA: no such folder"):
        check_source("data.x", named_options("data.x", fashion).model_validate(fashion))
    # A folder of its own, or data that ship with a library, need no mirror.
    fashion["path"] = str(tmp_path)
    check_source("data.x", named_options("data.x", fashion).model_validate(fashion))
    check_source("data.x", named_options("data.x", {"set": "digits"}).model_validate({"set": "digits"}))
    fashion["path"] = str(tmp_path / "gone")
    with pytest.raises(UserError, match=r"data\.x\.path: no such folder"):
        check_source("data.x", named_options("data.x", fashion).model_validate(fashion))
    with pytest.raises(UserError, match=r"own_data\.x\.path: no such folder"):
        check_source("own_data.x", folder_options(tmp_path / "gone"))


def test_a_folder_without_two_class_folders_is_refused_before_any_work(pets, tmp_path, folder_options):
    check_source("own_data.x", folder_options(pets))
    (tmp_path / "file").touch()
    (tmp_path / "empty" / ".hidden").mkdir(parents=True)
    (tmp_path / "one" / "cat").mkdir(parents=True)
    (tmp_path / "one" / "dog").touch()
    for name, message in {
        "empty": "no class folders",
        "file": "not a folder",
        "one": r"only one class folder \('cat'\)",
    }.items():
        with pytest.raises(UserError, match=message):
            check_source("own_data.x", folder_options(tmp_path / name))
