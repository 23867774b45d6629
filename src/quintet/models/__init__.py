"""The families and their members.

This table and those of the families are free of torch: they name each class by its path, so that a
suite can be checked and the catalogue listed in a blink. `build_encoder` imports what it builds.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from quintet.errors import UserError, unknown
from quintet.models import cnn, rnn, transformer
from quintet.models.member import Member, Shape

if TYPE_CHECKING:
    from torch import nn

FAMILIES: dict[str, dict[str, Member]] = {
    "cnn": cnn.MEMBERS,
    "transformer": transformer.MEMBERS,
    "rnn": rnn.MEMBERS,
}


def member(family: str, name: str, where: str = "model") -> Member:
    """The catalogue's entry; raises `UserError` that names the nearest accepted word."""
    if family not in FAMILIES:
        raise unknown(f"{where}.family", "family", family, FAMILIES)
    if name in FAMILIES[family]:
        return FAMILIES[family][name]
    home = next((f for f, members in FAMILIES.items() if name in members), None)
    if home:
        raise UserError(f"{where}.family", f"'{name}' is not of family '{family}'", f"it is of family '{home}'")
    raise unknown(f"{where}.name", f"{family} model", name, FAMILIES[family])


def build_encoder(family: str, name: str, kind: str, shape: Shape, settings: Mapping[str, Any]) -> nn.Module:
    """The encoder, sized to examples of `shape` and of `kind` ('image' or 'series').

    Its output is an `Encoded` (see `layers.encoded`). A series encoder reads an image row by row.
    """
    from quintet.models.layers.rows import Rows, rows_shape

    entry = member(family, name)
    module, _, cls = entry.path.partition(":")
    build = getattr(importlib.import_module(module), cls)
    complete = entry.settings(settings)
    if kind == "image" and entry.inputs[0] == "series":
        return Rows(build(rows_shape(shape), **complete))
    encoder: nn.Module = build(shape, **complete)
    return encoder
