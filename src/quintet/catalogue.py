"""What there is to choose from, as text. Free of torch."""

from __future__ import annotations

import inspect
from typing import Any, Literal, get_args, get_origin

from pydantic_core import PydanticUndefined

from quintet.data import DATASETS, OWN_FORMATS, Dataset
from quintet.data.options import OfficialOptions, OfficialTextOptions
from quintet.errors import unknown
from quintet.models import FAMILIES
from quintet.models.member import Member
from quintet.models.signature import settings_of
from quintet.tasks import TASKS


def listing(name: str | None = None) -> str:
    """Everything, or one family's or model's settings; raises `UserError` for an unknown name."""
    if name is None:
        return _everything()
    if name in FAMILIES:
        return "\n\n".join(_member(name, key) for key in FAMILIES[name])
    families = [family for family, members in FAMILIES.items() if name in members]
    if not families:
        known = [*FAMILIES, *(key for members in FAMILIES.values() for key in members)]
        raise unknown("catalogue", "family or model", name, known)
    return "\n\n".join(_member(family, name) for family in families)


def _everything() -> str:
    lines = ["Models (quintet catalogue NAME shows the settings of one)"]
    for family, members in FAMILIES.items():
        for key, entry in members.items():
            lines.append(f"  {family:12} {key:13} {entry.title:22} {'/'.join(entry.inputs):14} {entry.paper}")
    lines += ["", "Data sets (data: NAME: {set: …})"]
    for key, data in DATASETS.items():
        shape = " × ".join(map(str, data.shape)) or data.target
        classes = f"{len(data.classes):3} classes" if data.classes else ""
        lines.append(f"  {key:20} {data.kind:8} {shape:14} {classes:11}   {data.title} ({_where(data)})")
    lines += ["", "Your own data (own_data: NAME: {format: …, path: …})"]
    lines += [f"  {key:20} {own.kind:8} {own.title}" for key, own in OWN_FORMATS.items()]
    lines += ["", "Tasks"]
    for key, task in TASKS.items():
        baselines = dict.fromkeys(name for names in task.baselines.values() for name in names)
        lines.append(f"  {key:15} ranked by {task.primary}; baselines: {', '.join(baselines)}")
    return "\n".join(lines)


def _where(data: Dataset) -> str:
    if data.embedded:
        return "embedded"
    if issubclass(data.options, OfficialOptions):
        return "mirror or download"
    return "mirror" if issubclass(data.options, OfficialTextOptions) else "download"


def _member(family: str, name: str) -> str:
    entry: Member = FAMILIES[family][name]
    lines = [f"{entry.title}   model: {{family: {family}, name: {name}}}", f"  {entry.paper}"]
    lines.append(f"  reads {' or '.join(entry.inputs)} data; settings:")
    for key, field in settings_of(entry.path).model_fields.items():
        default = "required" if field.default is PydanticUndefined else repr(field.default)
        lines.append(f"    {key:15} {_type(field.annotation, field.metadata):28} {default}")
    return "\n".join(lines)


def _type(annotation: Any, bounds: list[Any]) -> str:
    """A setting's type and bounds in words, such as `int > 0` or `float ≥ 0 < 1`."""
    if get_origin(annotation) is Literal:
        return " or ".join(map(repr, get_args(annotation)))
    name = annotation.__name__ if inspect.isclass(annotation) else str(annotation)
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    limits = [f"{signs[k]} {getattr(b, k)}" for b in bounds for k in signs if getattr(b, k, None) is not None]
    return " ".join([name, *limits])
