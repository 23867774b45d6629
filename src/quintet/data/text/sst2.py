"""SST-2: sentences of film reviews, for or against (Socher et al. 2013), the sentence-level file of 9,613.

Phrases are not in it, so it is not GLUE's SST-2, which trains on 67,000 of them.
"""

from __future__ import annotations

from typing import Any

from quintet.data import DATASETS
from quintet.data.options import Sst2Options
from quintet.data.text.examples import TextExamples
from quintet.data.text.lines import good_lines
from quintet.data.text.official import folder_of
from quintet.errors import UserError

_FILES = {"train": "train.tsv.gz", "validation": "dev.tsv.gz", "test": "test.tsv.gz"}


def read(options: Sst2Options, name: str) -> TextExamples:
    """All sentences with their official splits, in the files' order."""
    where = f"data.{name}"
    folder, source = folder_of(where, options, "sst2", _FILES["train"])
    ids, official = list[str](), list[str]()
    columns: dict[str, list[Any]] = {"text": [], "target": []}
    for split, file in _FILES.items():
        for number, line in good_lines(where, folder / file):
            text, _, label = line.rpartition("\t")
            if not text.strip() or label not in ("0", "1"):
                raise UserError(where, f"{folder / file}:{number}: no sentence and label", "fetch it again")
            ids.append(f"{split}-{number:05d}")
            columns["text"].append(text)
            columns["target"].append(int(label))
            official.append(split)
    return TextExamples("class", ids, columns, DATASETS["sst2"].classes, official, source)
