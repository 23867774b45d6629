"""Preparing a named set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quintet.data import named_options
from quintet.data.prepare import prepare
from quintet.data.spec import DataSpec


@pytest.fixture
def named() -> Callable[..., DataSpec]:
    """Prepare an entry of `data:` into a folder."""

    def make(out: Path, **entry: Any) -> DataSpec:
        return prepare(named_options("data.x", entry).model_validate(entry), "x", out)

    return make
