"""CIFAR-10: 60,000 colour photographs of 32x32 in ten classes (Krizhevsky 2009).

Either the whole set in torchvision's files, with the official 50,000 and 10,000, or the subset of
15,000 and 5,000 kept in some mirrors as one sheet of tiles per class. Results on the subset are not
comparable with published ones, so it is called a subset wherever it shows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from quintet.data import DATASETS
from quintet.data.examples import Examples
from quintet.data.options import Cifar10Options
from quintet.data.places import Place, download, find
from quintet.errors import UserError

_BATCHES = "cifar-10-batches-py"
# The whole set comes before the subset.
_LAYOUTS = {
    _BATCHES: "test_batch",
    "cifar10-subset": "train/airplane.webp",
    ".": "train/airplane.webp",
}
_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
_SIDE = 32
# Tiles in a row of a class's sheet.
_TILES = {"train": 50, "test": 25}


def read(options: Cifar10Options, name: str, scratch: Path) -> Examples:
    """All examples, train before test."""
    where = f"data.{name}"
    place = find(where, options.path, _LAYOUTS)
    if place is None:
        with download(where, _URL) as cache:
            return _batches(where, cache, {"took": "download", "url": _URL}, fetch=True)
    source = {"took": place.took, "path": place.path}
    if place.layout == _BATCHES:
        return _batches(where, place.folder.parent, source, fetch=False)
    return _sheets(where, place, source)


def _batches(where: str, root: Path, source: dict[str, str], fetch: bool) -> Examples:
    """torchvision's reader, which checks every file's MD5 before it unpickles it."""
    from torchvision.datasets import CIFAR10

    try:
        parts = {"train": CIFAR10(root, train=True, download=fetch), "test": CIFAR10(root, train=False)}
    except RuntimeError as e:
        if fetch:
            raise
        what = f"{root / _BATCHES} is damaged or incomplete"
        raise UserError(where, what, f"unpack {_URL} there again") from e
    ids = [f"{split}-{i:05d}" for split, part in parts.items() for i in range(len(part.data))]
    pixels = np.concatenate([part.data for part in parts.values()])
    targets = np.concatenate([np.array(part.targets, np.int64) for part in parts.values()])
    test = np.arange(len(ids)) >= len(parts["train"].data)
    # torchvision gives height width channel.
    inputs = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    return Examples(np.array(ids), inputs, targets, DATASETS["cifar10"].classes, test, {**source, "note": ""})


def tiles(sheet: NDArray[np.uint8], across: int) -> NDArray[np.uint8]:
    """The tiles of a sheet [height width 3], row by row, as [tile 3 32 32]."""
    down = sheet.shape[0] // _SIDE
    grid = sheet.reshape(down, _SIDE, across, _SIDE, 3)
    return grid.transpose(0, 2, 4, 1, 3).reshape(down * across, 3, _SIDE, _SIDE)


def _sheets(where: str, place: Place, source: dict[str, str]) -> Examples:
    classes = DATASETS["cifar10"].classes
    ids: list[str] = []
    inputs, targets, test = [], [], []
    for split, across in _TILES.items():
        for index, label in enumerate(classes):
            found = tiles(_sheet(where, place.folder / split / f"{label}.webp", across), across)
            ids += [f"{split}/{label}-{i:04d}" for i in range(len(found))]
            inputs.append(found)
            targets.append(np.full(len(found), index, np.int64))
            test.append(np.full(len(found), split == "test"))
    held_out = np.concatenate(test)
    seen, tested = int((~held_out).sum()), int(held_out.sum())
    note = f"subset: {seen:,} of the 50,000 training and {tested:,} of the 10,000 test images of CIFAR-10"
    return Examples(
        np.array(ids),
        np.concatenate(inputs),
        np.concatenate(targets),
        classes,
        held_out,
        {**source, "title": "CIFAR-10 subset", "note": note},
    )


def _sheet(where: str, path: Path, across: int) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as e:
        raise UserError(where, f"cannot read {path} ({e})", "fetch it again") from e
    if pixels.shape[0] % _SIDE or pixels.shape[1] != across * _SIDE:
        what = f"{path} is {pixels.shape[1]}x{pixels.shape[0]}"
        raise UserError(where, what, f"a sheet is {across * _SIDE} wide and a multiple of {_SIDE} high")
    return pixels
