"""Which settings of BERT go with which data; free of torch, so that `quintet check` can ask."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quintet.models.transformer.fits import heads_fit


def bert_fits(settings: Mapping[str, Any], shape: tuple[int, ...]) -> str | None:
    """Every head takes the same share of the embedding."""
    return heads_fit(settings)


# Settings that a checkpoint does not decide.
FREE = ("dropout", "attention_dropout")
_ON_THE_HUB = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


def checkpoint_problem(source: str) -> tuple[str, str] | None:
    """What is wrong with a checkpoint's name, and what would be right; nothing is fetched and no weights are read."""
    folder = Path(source)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            return f"the folder '{source}' has no config.json", "give a folder that save_pretrained wrote"
        return None
    if folder.exists() or not _ON_THE_HUB.fullmatch(source):
        what = f"there is no folder '{source}', and it is no name on the hub"
        return what, "give a folder with a checkpoint, or a name such as google/bert_uncased_L-4_H-256_A-4"
    return None
