"""YAML with line numbers and without surprises; free of everything but PyYAML."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from quintet.errors import UserError

Path_ = tuple[str, ...]


# Far more than any suite has, far less than aliases of aliases can amount to.
_MOST_SETTINGS = 100_000


class _Loader(yaml.SafeLoader):
    """Reads plain scalars as YAML 1.2 and so DVC do: `1e-3` is a number, `no` and `on` are words, `010` is ten."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError) as e:
            # What PyYAML raises for text that a tag or a date's form promises too much of.
            what = f"'{getattr(node, 'value', '')}' is no {node.tag.rpartition(':')[2]} ({e})"
            raise yaml.constructor.ConstructorError(None, None, what, node.start_mark) from None

    def whole_number(self, node: yaml.ScalarNode) -> int:
        digits = self.construct_scalar(node).replace("_", "")
        sign = -1 if digits.startswith("-") else 1
        digits = digits.lstrip("+-")
        base = {"0b": 2, "0o": 8, "0x": 16}.get(digits[:2], 10)
        number = sign * int(digits if base == 10 else digits[2:], base)
        if abs(number) >= 2**63:
            raise ValueError("it is larger than 64 bits")
        return number


# The patterns are those of ruamel.yaml, DVC's reader: a file must not mean one thing here and another there.
_PLAIN = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?0b[0-1_]+|[-+]?0o?[0-7_]+|[-+]?[0-9_]+|[-+]?0x[0-9a-fA-F_]+", "-+0123456789"),
    "float": (
        r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag.rpartition(":")[2] not in _PLAIN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind in ("bool", "float", "int"):  # the order in which ruamel.yaml tries them
    _pattern, _first = _PLAIN[_kind]
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.whole_number)


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
        raise UserError(
            str(file), "there is no such file", "run from the project's root, or choose one: quintet suite"
        ) from None
    except UnicodeDecodeError as e:
        raise UserError(str(file), f"is not UTF-8 text (byte {e.start})", "save it as UTF-8") from None
    except OSError as e:
        raise UserError(str(file), f"cannot be read ({e.strerror})") from None
    name = str(file)
    lines: dict[Path_, int] = {}

    def quoted(node: yaml.Node, within: yaml.CollectionNode) -> None:
        # libyaml as ruamel.yaml brings it, and so DVC, takes every colon inside brackets for a key's.
        if within.flow_style and isinstance(node, yaml.ScalarNode) and node.style is None and ":" in node.value:
            at = f"{name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"
            raise UserError(
                at, f"{node.value} has a colon, which DVC can not read here", f"write it in quotes: '{node.value}'"
            )

    def note(node: yaml.Node, path: Path_) -> None:
        if len(lines) > _MOST_SETTINGS:
            raise UserError(name, f"holds more than {_MOST_SETTINGS:,} settings", "use fewer aliases (*name)")
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                quoted(key, node)
                quoted(value, node)
                below = (*path, str(key.value))
                line = key.start_mark.line + 1
                if below in lines:
                    what = f"'{'.'.join(below)}' is given twice, first on line {lines[below]}"
                    raise UserError(f"{name}:{line}:{key.start_mark.column + 1}", what, "give each its own name")
                lines[below] = line
                note(value, below)
        elif isinstance(node, yaml.SequenceNode):
            for i, value in enumerate(node.value):
                quoted(value, node)
                lines[(*path, str(i))] = value.start_mark.line + 1
                note(value, (*path, str(i)))

    loader = None
    try:
        loader = _Loader(text)
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
    except RecursionError:
        raise UserError(name, "is nested too deeply, or an alias (*name) stands inside what it names") from None
    finally:
        if loader:
            loader.dispose()
    if not isinstance(content, dict):
        raise UserError(name, "holds no settings", "see suites/embedded.yaml")
    return Document(name, content, lines)
