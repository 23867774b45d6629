"""The named sets: what the table promises is what the files hold."""

from __future__ import annotations

import logging
import shutil
import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from quintet.data import DATASETS, cifar10, digits_outlines, fashion_mnist, named_options
from quintet.data.prepare import channel_statistics, prepare
from quintet.data.spec import SPLITS, DataSpec, Split, load_spec, load_split
from quintet.errors import UserError


def made(out: Path, **entry: Any) -> DataSpec:
    return prepare(named_options("data.x", entry).model_validate(entry), "x", out)


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No mirror, an empty cache, and a network that does not answer."""
    monkeypatch.delenv("QUINTET_DATA", raising=False)
    monkeypatch.setenv("QUINTET_CACHE", str(tmp_path / "cache"))

    def unreachable(*args: object, **kwargs: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)


def test_digits_are_scikit_learns_spread_over_the_bytes_range(tmp_path):
    from sklearn.datasets import load_digits

    spec = made(tmp_path, set="digits")
    assert spec.counts == {"train": 1169, "validation": 269, "test": 359}
    assert spec.shape == DATASETS["digits"].shape
    assert spec.classes == DATASETS["digits"].classes
    assert spec.source["took"] == "embedded"
    bunch = load_digits()
    for split in (load_split(tmp_path, name) for name in SPLITS):
        rows = [int(name.removeprefix("digit-")) for name in split.ids]
        assert np.array_equal(split.targets, bunch.target[rows])
        assert abs(split.inputs[:, 0] / 255 - bunch.images[rows] / 16).max() <= 0.5 / 255
        assert split.inputs.max() == 255


def test_of_a_digit_there_is_either_the_image_or_the_outline(tmp_path):
    from sklearn.datasets import load_digits

    spec = made(tmp_path, set="digits-outlines")
    known = DATASETS["digits-outlines"]
    assert (spec.classes, spec.shape, sum(spec.counts.values())) == (known.classes, known.shape, 1797)
    splits = [load_split(tmp_path, name) for name in SPLITS]
    names = [str(name).split("-") for split in splits for name in split.ids]
    assert len({number for _, number in names}) == 1797, "each digit is in one domain only"
    source = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)
    for split in splits:
        for name, image, target in zip(split.ids, split.inputs[:, 0], split.targets, strict=True):
            label, number = name.split("-")
            assert label == spec.classes[target]
            digit = digits_outlines.enlarged(source[int(number)])
            assert np.array_equal(image, digits_outlines.outline(digit) if target else digit)


def test_an_outline_is_empty_inside_and_outside():
    square = np.zeros((9, 9), np.uint8)
    square[2:7, 2:7] = 200
    ring = square.copy()
    ring[3:6, 3:6] = 0
    assert np.array_equal(digits_outlines.outline(square), ring)


def test_photographs_are_tiles_that_put_together_give_the_photographs(tmp_path):
    from sklearn.datasets import load_sample_image

    spec = made(tmp_path, set="photographs")
    assert spec.classes == ("china", "flower")
    assert sum(spec.counts.values()) == 2 * 13 * 20
    whole = {label: np.zeros((3, 13 * 32, 20 * 32), np.uint8) for label in spec.classes}
    for split in (load_split(tmp_path, name) for name in SPLITS):
        for name, tile, target in zip(split.ids, split.inputs, split.targets, strict=True):
            label, row, column = name.split("-")
            assert label == spec.classes[target]
            top, left = 32 * int(row), 32 * int(column)
            whole[label][:, top : top + 32, left : left + 32] = tile
    for label, picture in whole.items():
        assert np.array_equal(picture, load_sample_image(f"{label}.jpg")[:416].transpose(2, 0, 1))


def test_preparing_twice_gives_the_same_bytes_and_another_seed_does_not(tmp_path):
    one, two, other = (made(tmp_path / str(i), set="digits", split_seed=i // 2) for i in range(3))
    assert one == two == load_spec(tmp_path / "0")
    assert one.digest != other.digest
    files = sorted(p.relative_to(tmp_path / "0") for p in (tmp_path / "0").rglob("*") if p.is_file())
    assert len(files) == 11
    for file in files:
        assert (tmp_path / "0" / file).read_bytes() == (tmp_path / "1" / file).read_bytes()


def test_preparing_again_does_not_write_into_files_linked_elsewhere(tmp_path):
    made(tmp_path / "out", set="digits")
    cached = tmp_path / "cached.npy"
    cached.hardlink_to(tmp_path / "out" / "test" / "inputs.npy")
    before = cached.read_bytes()
    made(tmp_path / "out", set="digits", split_seed=1)
    assert cached.read_bytes() == before != (tmp_path / "out" / "test" / "inputs.npy").read_bytes()


def test_prepared_arrays_are_memory_mapped_and_read_only(tmp_path):
    made(tmp_path, set="digits")
    split = load_split(tmp_path, "train")
    assert isinstance(split.inputs, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        split.inputs[0] = 0


def test_mean_and_deviation_are_those_of_train_alone(tmp_path):
    spec = made(tmp_path, set="digits")
    pixels = np.asarray(load_split(tmp_path, "train").inputs, np.float64) / 255
    assert spec.mean == pytest.approx([pixels.mean()], abs=1e-12)
    assert spec.std == pytest.approx([pixels.std()], abs=1e-12)


def test_a_channel_that_never_changes_normalises_to_zero_not_infinity():
    inputs = np.full((2, 2, 3, 3), 51, np.uint8)
    inputs[0, 1] = 0
    mean, std = channel_statistics(Split(np.array(["a", "b"]), inputs, np.zeros(2, np.int64)))
    assert mean == pytest.approx([0.2, 0.1])
    assert std == pytest.approx([1.0, 0.1])


def test_a_subset_says_that_it_is_one(tmp_path):
    spec = made(tmp_path, set="digits", subset=0.1)
    assert sum(spec.counts.values()) == 179
    assert min(min(counts) for counts in spec.class_counts.values()) >= 1
    assert spec.source["title"].endswith("subset")
    assert "179 of 1,797" in spec.source["note"]


def test_fashion_mnist_is_the_published_one(tmp_path, mirror):
    spec = made(tmp_path, set="fashion-mnist", validation=0.1)
    assert spec.class_counts == {"train": [5400] * 10, "validation": [600] * 10, "test": [1000] * 10}
    assert spec.mean == pytest.approx([0.2860], abs=5e-4)
    assert spec.std == pytest.approx([0.3530], abs=5e-4)
    assert spec.source["took"] == "mirror QUINTET_DATA"
    assert spec.source["path"] == "FashionMNIST/raw"
    test, train = load_split(tmp_path, "test"), load_split(tmp_path, "train")
    # The first labels of the official test file: ankle boot, pullover, trouser, trouser, shirt.
    assert test.ids[:2].tolist() == ["test-00000", "test-00001"]
    assert [spec.classes[t] for t in test.targets[:5]] == ["Ankle boot", "Pullover", "Trouser", "Trouser", "Shirt"]
    assert all(name.startswith("train-") for name in train.ids)
    # Trousers have a gap between the legs: dark in the middle of the lower rows, bright beside it.
    trousers = test.inputs[np.asarray(test.targets) == 1][:, 0].mean(0)
    assert trousers[20:26, 13:15].mean() < trousers[20:26, 10:12].mean()


def test_fashion_mnists_table_agrees_with_torchvision():
    torchvision = pytest.importorskip("torchvision")
    theirs = torchvision.datasets.FashionMNIST
    assert dict(theirs.resources) == fashion_mnist.MD5
    assert tuple(theirs.classes) == DATASETS["fashion-mnist"].classes


def test_a_damaged_fashion_mnist_file_is_named(tmp_path, mirror):
    folder = tmp_path / "raw"
    folder.mkdir()
    for file in fashion_mnist.MD5:
        shutil.copy(mirror / "FashionMNIST" / "raw" / file, folder / file)
    damaged = folder / "t10k-labels-idx1-ubyte.gz"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte\.gz is damaged"):
        made(tmp_path / "out", set="fashion-mnist", path=str(tmp_path))
    damaged.unlink()
    with pytest.raises(UserError, match=r"cannot read .*t10k-labels"):
        made(tmp_path / "out", set="fashion-mnist", path=str(folder))
    assert not (tmp_path / "out" / "spec.json").exists()


def test_cifar10s_subset_is_called_a_subset_and_its_tiles_are_pictures(tmp_path, mirror):
    spec = made(tmp_path, set="cifar10", validation=0.1)
    assert spec.class_counts == {"train": [1350] * 10, "validation": [150] * 10, "test": [500] * 10}
    assert spec.source["title"] == "CIFAR-10 subset"
    assert "15,000 of the 50,000" in spec.source["note"]
    assert spec.copies == {"all": 0, "test_seen": 0}
    test = load_split(tmp_path, "test")
    row = test.ids.tolist().index("test/ship-0027")
    assert spec.classes[test.targets[row]] == "ship"
    # Tile 27 of a sheet 25 tiles wide: second row, third column.
    with Image.open(mirror / "cifar10-subset" / "test" / "ship.webp") as sheet:
        tile = np.asarray(sheet.convert("RGB").crop((64, 32, 96, 64)))
    assert np.array_equal(test.inputs[row].transpose(1, 2, 0), tile)


def test_tiles_are_cut_row_by_row():
    sheet = np.zeros((64, 96, 3), np.uint8)
    for i in range(6):
        down, across = divmod(i, 3)
        sheet[32 * down : 32 * down + 32, 32 * across : 32 * across + 32] = i
    cut = cifar10.tiles(sheet, 3)
    assert cut.shape == (6, 3, 32, 32)
    assert [tile.min() for tile in cut] == [tile.max() for tile in cut] == list(range(6))


def test_the_whole_cifar10_comes_before_the_subset_and_is_checked(tmp_path, monkeypatch):
    for file in ("cifar-10-batches-py/test_batch", "cifar10-subset/train/airplane.webp"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_bytes(b"damaged")
    monkeypatch.setenv("QUINTET_DATA", str(tmp_path))
    with pytest.raises(UserError, match="cifar-10-batches-py is damaged or incomplete"):
        made(tmp_path / "out", set="cifar10")


def test_torchvisions_cifar10_keeps_its_official_split(tmp_path, monkeypatch):
    class Batches:
        """What torchvision gives, with one picture of each class and split."""

        def __init__(self, root: Path, train: bool, download: bool = False) -> None:
            shape = (30 if train else 10, 32, 32, 3)
            self.data = np.random.default_rng(train).integers(0, 256, shape, dtype=np.uint8)
            self.data[0, 5, 0] = (1, 2, 3)
            self.targets = list(range(10)) * (3 if train else 1)

    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "test_batch").touch()
    monkeypatch.setattr("torchvision.datasets.CIFAR10", Batches)
    spec = made(tmp_path / "out", set="cifar10", path=str(tmp_path))
    assert spec.counts == {"train": 20, "validation": 10, "test": 10}
    assert spec.source["title"] == "CIFAR-10"
    test = load_split(tmp_path / "out", "test")
    assert test.ids[0] == "test-00000"
    assert test.inputs[0, :, 5, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10"])
@pytest.mark.usefixtures("nowhere")
def test_without_network_or_mirror_one_line_says_what_to_do(tmp_path, name):
    with pytest.raises(UserError) as caught:
        made(tmp_path / "out", set=name)
    text = str(caught.value)
    assert "cannot download" in text
    assert "no route to host" in text
    assert "QUINTET_DATA" in text
    assert "\n" not in text


@pytest.mark.usefixtures("nowhere")
def test_a_mirror_without_the_set_is_said_and_the_download_tried(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("QUINTET_DATA", str(tmp_path))
    with caplog.at_level(logging.INFO), pytest.raises(UserError, match="cannot download"):
        made(tmp_path / "out", set="fashion-mnist")
    assert "the mirror in QUINTET_DATA has no FashionMNIST/raw" in caplog.text


def test_a_download_that_is_complete_is_not_fetched_again(tmp_path, monkeypatch, mirror):
    raw = tmp_path / "cache" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for file in fashion_mnist.MD5:
        shutil.copy(mirror / "FashionMNIST" / "raw" / file, raw / file)
    monkeypatch.delenv("QUINTET_DATA")
    monkeypatch.setenv("QUINTET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: pytest.fail("asked the network"))
    spec = made(tmp_path / "out", set="fashion-mnist", subset=0.01)
    assert spec.source["took"] == "download"
    assert spec.source["url"].startswith("http")


def test_a_mirror_or_folder_that_is_missing_or_empty_is_named(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="does not hold the set's files; it needs FashionMNIST/raw/train-images"):
        made(tmp_path / "out", set="fashion-mnist", path=str(tmp_path))
    monkeypatch.setenv("QUINTET_DATA", str(tmp_path / "gone"))
    with pytest.raises(UserError, match="QUINTET_DATA: no such folder"):
        made(tmp_path / "out", set="fashion-mnist")
