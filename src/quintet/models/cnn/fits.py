"""Which settings of the convolutional networks go with which data; free of torch, so that `quintet check` can ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def textcnn_fits(settings: Mapping[str, Any], shape: tuple[int, ...]) -> str | None:
    """There are windows, and none is wider than any text."""
    widths, longest = settings["widths"], shape[0]
    if not widths:
        return "widths is empty; give at least one, such as [3, 4, 5]"
    if max(widths) > longest:
        return f"a window of {max(widths)} tokens is wider than the longest text, which has {longest}"
    return None
