"""Fashion-MNIST: 70,000 grey images of clothing, 28x28 (Xiao, Rasul and Vollgraf, arXiv:1708.07747).

Reads the four original idx files, each checked against its published MD5; the split into 60,000 and
10,000 is the official one.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quintet.data import DATASETS
from quintet.data.examples import Examples
from quintet.data.options import FashionMnistOptions
from quintet.data.places import Place, download, find, verify

# As torchvision.datasets.FashionMNIST.resources; not imported from there because that loads torch.
MD5 = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}
_LAYOUTS = dict.fromkeys(("FashionMNIST/raw", "raw", "."), "train-images-idx3-ubyte.gz")
_MEMBERS = {"train": "train", "test": "t10k"}


def read(options: FashionMnistOptions, name: str, scratch: Path) -> Examples:
    """All 70,000 examples, train before test, in the files' order."""
    where = f"data.{name}"
    place = find(where, options.path, _LAYOUTS)
    source = {"took": place.took, "path": place.path} if place else {"took": "download", "url": _mirror()}
    place = place or _download(where)
    ids: list[str] = []
    inputs, targets = [], []
    for split, stem in _MEMBERS.items():
        images = _idx(where, place.folder / f"{stem}-images-idx3-ubyte.gz")
        labels = _idx(where, place.folder / f"{stem}-labels-idx1-ubyte.gz")
        ids += [f"{split}-{i:05d}" for i in range(len(images))]
        inputs.append(images[:, None])
        targets.append(labels.astype(np.int64))
    test = np.arange(len(ids)) >= len(targets[0])
    classes = DATASETS["fashion-mnist"].classes
    return Examples(
        np.array(ids), np.concatenate(inputs), np.concatenate(targets), classes, test, {**source, "note": ""}
    )


def _idx(where: str, path: Path) -> NDArray[np.uint8]:
    """An idx file: two zeros, the type (8: unsigned byte), the number of axes, their lengths, the bytes."""
    raw = gzip.decompress(verify(where, path, MD5[path.name]))
    zeros, kind, axes = struct.unpack_from(">HBB", raw)
    assert (zeros, kind) == (0, 8), path
    shape = struct.unpack_from(f">{axes}I", raw, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _torchvision() -> Any:
    from torchvision.datasets import FashionMNIST

    return FashionMNIST


def _mirror() -> str:
    return str(_torchvision().mirrors[0])


def _download(where: str) -> Place:
    """torchvision's addresses and checked download; what is in the cache already is not fetched again."""
    from torchvision.datasets.utils import download_url

    with download(where, _mirror()) as cache:
        folder = cache / "FashionMNIST" / "raw"
        for file, md5 in _torchvision().resources:
            download_url(_mirror() + file, str(folder), file, md5)
    return Place(folder, "FashionMNIST/raw", "download", "")
