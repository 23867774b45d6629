"""Which settings of the recurrent networks go with which data; free of torch, so that `quintet check` can ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def recurrent_fits(settings: Mapping[str, Any], shape: tuple[int, ...]) -> str | None:
    """Only tokens are embedded; images and series have features of their own."""
    if settings["embed_dim"] is not None and len(shape) != 4:
        return f"embed_dim {settings['embed_dim']} is the size of a text's word vectors; leave it out for other data"
    return None
