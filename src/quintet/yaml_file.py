"""YAML with line numbers and without surprises; free of everything but PyYAML."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from quintet.errors import UserError

Path_ = tuple[str, ...]


class _Loader(yaml.SafeLoader):
    """Reads scalars as YAML 1.2 does, as DVC also does: `1e-3` is a number, `no` and `on` are words."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:float")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"),
    list("-+0123456789."),
)


class Document:
    """A YAML file's content and, for each key in it, the line that it stands on."""

    def __init__(self, file: str, content: Any, lines: dict[Path_, int]) -> None:
        self.file, self.content, self._lines = file, content, lines

    def where(self, *keys: str | int) -> str:
        """'params.yaml:12: experiments.lstm.model', with the line of the nearest key that stands in the file."""
        path = tuple(str(k) for k in keys)
        known = next((path[:n] for n in range(len(path), 0, -1) if path[:n] in self._lines), ())
        line = f":{self._lines[known]}" if known else ""
        return f"{self.file}{line}" + (f": {'.'.join(path)}" if path else "")


def load(file: Path) -> Document:
    """Read a YAML mapping; raises `UserError` with line and column for bad syntax or a key given twice."""
    try:
        text = file.read_text(encoding="utf8")
    except FileNotFoundError:
        raise UserError(str(file), "there is no such file", "run from the project's root, or choose one: quintet suite") from None
    except UnicodeDecodeError as e:
        raise UserError(str(file), f"is not UTF-8 text (byte {e.start})", "save it as UTF-8") from None
    name = file.name
    lines: dict[Path_, int] = {}

    def note(node: yaml.Node, path: Path_) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                below = (*path, str(key.value))
                line = key.start_mark.line + 1
                if below in lines:
                    what = f"'{'.'.join(below)}' is given twice, first on line {lines[below]}"
                    raise UserError(f"{name}:{line}:{key.start_mark.column + 1}", what, "give each its own name")
                lines[below] = line
                note(value, below)
        elif isinstance(node, yaml.SequenceNode):
            for i, value in enumerate(node.value):
                lines[(*path, str(i))] = value.start_mark.line + 1
                note(value, (*path, str(i)))

    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is not None:
            note(node, ())
        content = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise UserError(f"{name}{at}", f"is not YAML: {e.problem or e.context}") from None
    except yaml.YAMLError as e:
        raise UserError(name, f"is not YAML: {' '.join(str(e).split())}") from None
    finally:
        loader.dispose()
    if not isinstance(content, dict):
        raise UserError(name, "holds no settings", "see suites/embedded.yaml")
    return Document(name, content, lines)
