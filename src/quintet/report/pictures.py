"""What networks that make images made: which picture shows what, and pictures small enough for the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quintet.tasks.pictures import GAP

# Bytes of a picture in the page: of what is seen at once, and of what is folded away.
LARGE, SMALL = 24_000, 9_000
# Seeds of which samples are shown.
SEEDS = 3


@dataclass(frozen=True)
class Kind:
    """A kind of picture, `<kind>-seed-<n>.png` of an evaluation; `note` says what its rows and columns are.

    `made_of` is what a network made the images of.
    """

    title: str
    note: str
    made_of: str = "latents"


# What is shown of each network at once: the first of these that it has.
MAIN = {
    "samples": Kind("Samples", "a row for each class that the judge sees"),
    "transfer": Kind(
        "Translations",
        "from top to bottom images, their translation, and that taken back; then the other way",
        "images",
    ),
}
# What is folded away, in this order. Pictures of other kinds are left out.
MORE = {
    "interpolation": Kind("Walks between latents", "each row from one latent to the next"),
    "truncation": Kind("Truncation", "the same latents, at truncation 1, 0.7, 0.5 and 0 from top to bottom"),
    "mixing": Kind("Style mixing", "coarse styles of the first column, fine styles of the first row"),
    "neighbours": Kind(
        "Closest to a training image", "above the made images that come closest, below that training image"
    ),
    "worst": Kind("Worst", "the made images farthest from every test image, by the judge's features"),
}
# Of inpainting, rows: with the hole, repaired, as it was. `repairs` is shown row by row, of all networks together.
REPAIRS = "repairs"
CASES = {"worst-repairs": "Worst repairs", "best-repairs": "Best repairs"}


@dataclass(frozen=True)
class Shown:
    """A picture for the page: its data URI, and the size to show it at."""

    uri: str
    width: int
    height: int


def shown(pixels: NDArray[np.uint8], limit: int) -> Shown:
    """A picture [height width] or [height width 3] in at most `limit` bytes.

    As PNG, where that is small enough; else with loss, and at last at half the size and half of that.
    """
    from PIL import Image

    image = Image.fromarray(pixels)
    width, height = image.size
    content, kind = _encoded(image, "PNG", optimize=True), "png"
    for quality in (85, 70, 50):
        if len(content) > limit:
            content, kind = _encoded(image, "WEBP", quality=quality), "webp"
    while len(content) > limit and min(image.size) > 16:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
        content, kind = _encoded(image, "WEBP", quality=70), "webp"
    return Shown(f"data:image/{kind};base64,{base64.b64encode(content).decode()}", width, height)


def strip(pixels: NDArray[np.uint8], row: int, rows: int) -> NDArray[np.uint8]:
    """One row of images of a picture that has `rows` of them, with the gaps around it."""
    each = (len(pixels) - GAP) // rows
    return pixels[row * each : (row + 1) * each + GAP]


def _encoded(image: object, kind: str, **how: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **how)  # type: ignore[attr-defined]
    return stream.getvalue()
