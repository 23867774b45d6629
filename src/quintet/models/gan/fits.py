"""Which images the translators take; free of torch, so that `quintet check` can ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def at_least_eight(settings: Mapping[str, Any], shape: tuple[int, ...]) -> str | None:
    """A map is halved before it is judged patch by patch."""
    _, height, width = shape
    if min(height, width) >= 8:
        return None
    return f"images of {height} x {width} are too small to be translated; 8 x 8 or more would do"
