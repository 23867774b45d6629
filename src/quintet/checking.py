"""Checks that end in one clear line: pydantic's findings as `UserError`, with the place in the file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from quintet.errors import UserError, unknown

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_Settings = TypeVar("_Settings", bound=BaseModel)


class Where(Protocol):
    """Says where in a file a setting stands."""

    def __call__(self, *keys: str | int) -> str: ...


def well_named(name: str, at: str) -> None:
    """Names become parts of paths, stages and artifact keys."""
    if not _NAME.fullmatch(name):
        raise UserError(at, f"'{name}' can not be a name", "use small letters, digits and single hyphens, such as lenet-digits")


def validate(model: type[_Settings], raw: Any, where: Where, *here: str) -> _Settings:
    """`model` from `raw`, or a `UserError` that says which key is wrong and what it takes."""
    try:
        return model.model_validate(raw)
    except ValidationError as e:
        errors = e.errors(include_url=False)
    if not isinstance(raw, Mapping):
        raise UserError(where(*here), f"is {raw!r}", f"it takes settings: {', '.join(model.model_fields)}")
    # Names first: a misspelt key also makes the right one look missing.
    first = next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])
    loc = first["loc"]
    if first["type"] == "extra_forbidden":
        raise unknown(where(*here, *loc[:-1]), "setting", str(loc[-1]), _fields(model, loc[:-1]))
    if first["type"] == "missing":
        raise UserError(where(*here, *loc[:-1]), f"'{loc[-1]}' is missing", f"it takes: {', '.join(_fields(model, loc[:-1]))}")
    keys = _present(raw, loc)
    alternatives = [error for error in errors if _present(raw, error["loc"]) == keys]
    right = " or ".join(dict.fromkeys(_plain(error["msg"]) for error in alternatives))
    if first["type"] == "value_error":
        raise UserError(where(*here, *keys), right)
    raise UserError(where(*here, *keys), f"is {first['input']!r}", f"it {right}")


def _plain(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message.replace("Input should be", "should be").replace("a valid", "a").strip()


def _present(raw: Any, loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """The part of pydantic's location that are keys of the input, without its names of alternatives."""
    keys: list[str | int] = []
    for key in loc:
        if (isinstance(raw, Mapping) and key in raw) or (isinstance(raw, Sequence) and isinstance(key, int) and key < len(raw)):
            raw = raw[key]  # type: ignore[index]
            keys.append(key)
        else:
            break
    return tuple(keys)


def _fields(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """The settings that the model at `loc` inside `model` takes."""
    for key in loc:
        field = model.model_fields.get(str(key))
        inner = [t for t in (*get_args(field.annotation), field.annotation) if _is_model(t)] if field else []
        if not inner:
            break
        model = inner[0]
    return list(model.model_fields)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
