"""An entry of the catalogue; free of torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from quintet.models.signature import settings_of

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Member:
    """One architecture of the catalogue.

    `inputs` are the kinds of data its encoder reads, the native one first: 'image' [channel height
    width], 'series' [time feature]. `fits` says, for complete settings and the shape of one example, why the two do not go
    together, or None.
    """

    path: str
    title: str
    paper: str
    inputs: tuple[str, ...]
    fits: Callable[[Mapping[str, Any], Shape], str | None] = lambda settings, shape: None

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """`given` completed by the constructor's defaults; raises pydantic's ValidationError."""
        # YAML has lists only; the constructors take tuples.
        plain = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
        return settings_of(self.path).model_validate(plain).model_dump()
