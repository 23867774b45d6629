"""Small made-up image folders."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from quintet.data.options import ImageCsvOptions, ImageFolderOptions


def noise(seed: int, height: int = 12, width: int = 10) -> Image.Image:
    """A colour picture unlike that of any other seed."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Two classes of six PNG files."""
    root = tmp_path / "pets"
    for c, label in enumerate(("cat", "dog")):
        (root / label).mkdir(parents=True)
        for i in range(6):
            noise(10 * c + i).save(root / label / f"{i}.png")
    return root


@pytest.fixture
def draw() -> Callable[[Path, int], None]:
    """Write the picture of a seed, whose format is that of the extension."""

    def write(path: Path, seed: int) -> None:
        noise(seed).save(path)

    return write


@pytest.fixture
def folder_options() -> Callable[..., ImageFolderOptions]:
    """The entry for an image folder, as params.yaml would give it."""

    def make(path: Path, **more: Any) -> ImageFolderOptions:
        entry = {"format": "image-folder", "path": str(path), "image_size": [8, 8], "test": 0.2, **more}
        return ImageFolderOptions.model_validate(entry)

    return make


@pytest.fixture
def csv_options() -> Callable[..., ImageCsvOptions]:
    """The entry for a CSV of images."""

    def make(path: Path, **more: Any) -> ImageCsvOptions:
        entry = {"format": "image-csv", "path": str(path), "image_size": [8, 8], "test": 0.2, **more}
        return ImageCsvOptions.model_validate(entry)

    return make


@pytest.fixture
def mirror() -> Path:
    """The folder of real data; tests that need it are skipped where there is none."""
    named = os.environ.get("QUINTET_DATA")
    if not named:
        pytest.skip("QUINTET_DATA is unset: no mirror of the real data here")
    return Path(named)
