"""Entities from tags, counted as the CoNLL shared tasks count them (Tjong Kim Sang & De Meulder 2003, `conlleval`).

An entity is found where its first word, its last word and its type are all right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Entity(NamedTuple):
    """Words `start` to before `end`, of type `kind`."""

    start: int
    end: int
    kind: str


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities that IOB2 tags make; as in `conlleval`, an I- that continues nothing begins an entity."""
    found: list[Entity] = []
    begun: tuple[int, str] | None = None
    for place, tag in enumerate([*tags, "O"]):
        mark, _, kind = tag.partition("-")
        if begun and (mark != "I" or kind != begun[1]):
            found.append(Entity(begun[0], place, begun[1]))
            begun = None
        if mark != "O" and begun is None:
            begun = place, kind
    return found


def count_entities(truth: Sequence[str], said: Sequence[str]) -> tuple[int, int, int]:
    """How many entities of a sentence were found, were said to be there, and are there."""
    there, answered = set(entities(truth)), set(entities(said))
    return len(there & answered), len(answered), len(there)
