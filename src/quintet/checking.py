"""Checks that end in one clear line: pydantic's findings as `UserError`, with the place in the file."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from quintet.errors import UserError, unknown

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LONGEST_NAME = 80

# pydantic's words for programmers, and ours for people who write YAML.
_WORDS = {
    r"^Value error, ": "",
    r"^Input should be ": "should be ",
    r"^(?:List|Tuple) should have (at least|at most) (\d+) items? .*": r"should be a list of \1 \2",
    r"a valid dictionary( or instance of \w+)?": "settings (key: value)",
    r"a valid (?:list|tuple)": "a list",
    r"a valid integer": "a whole number",
    r"a valid boolean": "true or false",
    r"a valid ": "a ",
}
_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80
_Settings = TypeVar("_Settings", bound=BaseModel)


class Where(Protocol):
    """Says where in a file a setting stands."""

    def __call__(self, *keys: str | int) -> str: ...


def well_named(name: str, at: str) -> None:
    """Names become parts of paths, stages and artifact keys."""
    if not _NAME.fullmatch(name):
        raise UserError(
            at, f"'{name}' can not be a name", "use small letters, digits and single hyphens, such as lenet-digits"
        )
    if len(name) > _LONGEST_NAME:
        raise UserError(at, f"the name has {len(name)} characters", f"use {_LONGEST_NAME} at most")


def validate(model: type[_Settings], raw: Any, where: Where, *here: str) -> _Settings:
    """`model` from `raw`, or a `UserError` that says which key is wrong and what it takes."""
    try:
        return model.model_validate(raw)
    except ValidationError as e:
        errors = e.errors(include_url=False)
    if not isinstance(raw, Mapping):
        raise UserError(where(*here), f"is {shown(raw)}", f"it takes settings: {', '.join(model.model_fields)}")
    # Names first: a misspelt key also makes the right one look missing.
    first = next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])
    loc = first["loc"]
    if first["type"] == "extra_forbidden":
        raise unknown(where(*here, *loc), "setting", str(loc[-1]), _fields(model, loc[:-1]))
    if first["type"] == "missing" and not isinstance(loc[-1], int):
        raise UserError(
            where(*here, *loc[:-1]), f"'{loc[-1]}' is missing", f"it takes: {', '.join(_fields(model, loc[:-1]))}"
        )
    if first["type"] == "invalid_key" or loc[-1] == "[key]":
        keys = loc[:-1] if loc[-1] == "[key]" else loc
        raise UserError(where(*here, *keys), f"the key {keys[-1]} is no text", f"write it in quotes: '{keys[-1]}'")
    keys = _present(raw, loc)
    alternatives = [error for error in errors if _present(raw, error["loc"]) == keys]
    plain = list(dict.fromkeys(_plain(error["msg"]) for error in alternatives))
    if first["type"] == "value_error":
        raise UserError(where(*here, *keys), plain[0])
    if first["type"] == "missing":
        raise UserError(
            where(*here, *keys), f"is {shown(_at(raw, keys))}", f"it needs {int(loc[-1]) + 1} values at least"
        )
    right = " or ".join(plain[:1] + [text.removeprefix("should be ") for text in plain[1:]])
    raise UserError(where(*here, *keys), f"is {shown(_at(raw, keys))}", f"it {right}")


def shown(value: Any) -> str:
    """A value as an error shows it: in YAML's words, shortened."""
    words = {True: "true", False: "false", None: "empty"}
    return words[value] if value is None or isinstance(value, bool) else _short.repr(value)


def _plain(message: str) -> str:
    for theirs, ours in _WORDS.items():
        message = re.sub(theirs, ours, message)
    return message


def _at(raw: Any, keys: Sequence[str | int]) -> Any:
    for key in keys:
        raw = raw[key]
    return raw


def _present(raw: Any, loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """The part of pydantic's location that are keys of the input, without its names of alternatives."""
    keys: list[str | int] = []
    for key in loc:
        if (isinstance(raw, Mapping) and key in raw) or (
            isinstance(raw, Sequence) and isinstance(key, int) and key < len(raw)
        ):
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
