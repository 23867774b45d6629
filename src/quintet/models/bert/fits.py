"""Which settings of BERT go with which data; free of torch, so that `quintet check` can ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quintet.models.transformer.fits import heads_fit


def bert_fits(settings: Mapping[str, Any], shape: tuple[int, ...]) -> str | None:
    """Every head takes the same share of the embedding."""
    return heads_fit(settings)
