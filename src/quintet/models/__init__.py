"""The families and their members.

This table and those of the families are free of torch: they name each class by its path, so that a
suite can be checked and the catalogue listed in a blink. `build` imports what it builds.
"""

from __future__ import annotations

from quintet.errors import UserError, unknown
from quintet.models import bert, cnn, gan, rnn, transformer
from quintet.models.member import Member

FAMILIES: dict[str, dict[str, Member]] = {
    "cnn": cnn.MEMBERS,
    "transformer": transformer.MEMBERS,
    "bert": bert.MEMBERS,
    "rnn": rnn.MEMBERS,
    "gan": gan.MEMBERS,
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
