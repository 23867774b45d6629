"""Pictures as requests hold them, and what is wrong with some."""

from __future__ import annotations

import base64
from collections.abc import Callable
from io import BytesIO
from typing import Any

from PIL import Image


def encoded(image: Image.Image, kind: str = "PNG") -> str:
    buffer = BytesIO()
    image.save(buffer, kind)
    return base64.b64encode(buffer.getvalue()).decode()


def bomb() -> str:
    """A PNG of a few kilobytes that would fill memory."""
    return encoded(Image.new("1", (20_000, 20_000)))


def square(value: object, size: int = 8) -> list[list[object]]:
    return [[value] * size for _ in range(size)]


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "not base64": (lambda: "äöü!", "the text is not base64"),
    "empty text": (lambda: "", "not a PNG or JPEG"),
    "text file": (lambda: base64.b64encode(b"hello").decode(), "not a PNG or JPEG"),
    "other format": (lambda: encoded(Image.new("L", (8, 8)), "BMP"), "not a PNG or JPEG"),
    "torn": (lambda: encoded(Image.effect_noise((64, 64), 90))[:800], "damaged or unreadable"),
    "bomb": (bomb, "more than the 16,777,216 pixels allowed"),
    "long": (lambda: "A" * (32 * 2**20 + 4), "the limit is 33,554,432"),
    "number": (lambda: 5, "neither a PNG or JPEG in base64 nor pixels"),
    "nothing": (lambda: None, "neither a PNG or JPEG in base64 nor pixels"),
    "too small": (lambda: square(1, 7), r"pixels of shape \[7 7\]; this model takes \[8 8\]"),
    "one row": (lambda: [1] * 8, r"pixels of shape \[8\]"),
    "colour for grey": (lambda: [[[1, 2, 3]] * 8] * 8, r"pixels of shape \[8 8 3\]"),
    "ragged": (lambda: [[1] * 8] * 7 + [[1] * 7], "rows of different length"),
    "too bright": (lambda: square(256), "whole numbers from 0 to 255, here from 256 to 256"),
    "negative": (lambda: square(-1), "whole numbers from 0 to 255"),
    "scaled": (lambda: square(0.5), "whole numbers from 0 to 255"),
    "logical": (lambda: square(True), "whole numbers from 0 to 255"),
    "texts": (lambda: square("a"), "whole numbers from 0 to 255"),
    "huge number": (lambda: square(10**40), "whole numbers from 0 to 255"),
    "empty": (lambda: [[]], r"pixels"),
}
