"""Many small images as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Images are enlarged by whole pixels to about this side.
_SIDE = 40
GAP = 2


def sorted_by_class(images: NDArray[np.uint8], seen: NDArray[np.int64], columns: int = 10) -> NDArray[np.uint8]:
    """[row column channel height width]: a row for each class seen, with its first images, then white."""
    rows = []
    for label in np.unique(seen):
        its = images[seen == label][:columns]
        missing = np.full((columns - len(its), *images.shape[1:]), 255, np.uint8)
        rows.append(np.concatenate([its, missing]))
    return np.stack(rows)


def grid(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[row column channel height width] as one picture [height width channel]."""
    rows, columns, channels, height, width = images.shape
    scale = max(1, _SIDE // max(height, width))
    large = images.repeat(scale, axis=3).repeat(scale, axis=4)
    height, width = height * scale + GAP, width * scale + GAP
    picture = np.full((rows * height + GAP, columns * width + GAP, channels), 255, np.uint8)
    for row in range(rows):
        for column in range(columns):
            top, left = row * height + GAP, column * width + GAP
            picture[top : top + height - GAP, left : left + width - GAP] = large[row, column].transpose(1, 2, 0)
    return picture


def save(picture: NDArray[np.uint8], file: Path) -> None:
    """As PNG."""
    _image(picture).save(file)


def save_grid(images: NDArray[np.uint8], folder: Path, kind: str, seed: int) -> str:
    """`grid` of images [row column channel height width] as <kind>-seed-<seed>.png, the name reports know it by."""
    name = f"{kind}-seed-{seed}.png"
    save(grid(images), folder / name)
    return name


def animate(pictures: Sequence[NDArray[np.uint8]], file: Path, seconds: float = 6.0) -> None:
    """As an animated GIF that takes `seconds` and then stays on the last picture for a while."""
    frames = [_image(picture) for picture in pictures]
    each = max(40, round(1000 * seconds / len(frames)))
    lasting = [each] * (len(frames) - 1) + [2000]
    frames[0].save(file, save_all=True, append_images=frames[1:], duration=lasting, loop=0)


def _image(picture: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
