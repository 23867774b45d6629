"""Stage prepare@<data>: a data set, from wherever it is, to splits in data/prepared/<data>."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from quintet.config import data_entry
from quintet.data.prepare import prepare as prepare_data
from quintet.stages import declared


def prepare(name: str, section: Literal["data", "own_data"]) -> None:
    """Prepare the data set `name`, which stands under `section` in params.yaml."""
    stage = {"data": "prepare", "own_data": "prepare-own"}[section]
    entry = declared.parameters(f"{stage}@{name}")[section][name]
    prepare_data(data_entry(section, name, entry, declared.plain_where).options, name, Path("data/prepared", name))
