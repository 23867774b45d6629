"""What settings a class takes, read from its source without importing it (so without torch).

The constructor's keyword-only arguments are the settings: their annotations give type and bounds,
their defaults the values the paper fixes. Keeping them there alone means that `quintet check`, the
catalogue listing and the class itself can not disagree.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, create_model

from quintet.models.bounds import PositiveFloat, PositiveInt, Probability

_NAMES = {
    "Literal": Literal,
    "PositiveInt": PositiveInt,
    "PositiveFloat": PositiveFloat,
    "Probability": Probability,
    **{t.__name__: t for t in (int, float, bool, str, tuple, list, dict)},
}


@functools.cache
def settings_of(path: str) -> type[BaseModel]:
    """A pydantic model of the keyword-only arguments of `module:Class`, unknown keys refused."""
    module, _, name = path.partition(":")
    spec = importlib.util.find_spec(module)
    assert spec is not None, f"no module {module}"
    assert spec.origin is not None, f"{module} has no source file"
    with open(spec.origin, encoding="utf8") as f:
        tree = ast.parse(f.read(), spec.origin)
    cls = next((n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name), None)
    assert cls is not None, f"no class {name} in {module}"
    init = next((n for n in cls.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    assert init is not None, f"{path} needs an __init__ of its own: its keyword-only arguments are its settings"
    fields: dict[str, Any] = {}
    for arg, default in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True):
        assert arg.annotation is not None, f"{path}: '{arg.arg}' has no type"
        kind = eval(compile(ast.Expression(arg.annotation), spec.origin, "eval"), {"__builtins__": {}}, _NAMES)
        fields[arg.arg] = (kind, ... if default is None else ast.literal_eval(default))
    return create_model(
        name, __config__=ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False), **fields
    )
