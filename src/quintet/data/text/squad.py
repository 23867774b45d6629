"""SQuAD 1.1: questions about paragraphs of Wikipedia (Rajpurkar et al. 2016); the development set alone.

The files are a rebuilt development set with a split of its 48 articles of our own, so results are not comparable
with published ones, which train on the 87,599 questions of the training set.
"""

from __future__ import annotations

import json
from typing import Any

from quintet.data.options import SquadOptions
from quintet.data.text.examples import TextExamples
from quintet.data.text.lines import read as read_file
from quintet.data.text.official import folder_of
from quintet.data.text.questions import questions
from quintet.errors import UserError

_FILE = "dev-v1.1.json.gz"
_SPLITS = {"train": "train", "valid": "validation", "test": "test"}


def read(options: SquadOptions, name: str) -> TextExamples:
    """All questions, split by article."""
    where = f"data.{name}"
    folder, source = folder_of(where, options, "squad", _FILE)
    splits = json.loads(read_file(where, folder / "article_split.json"))
    split_of = {article: ours for theirs, ours in _SPLITS.items() for article in splits[theirs]}
    columns: dict[str, list[Any]] = {key: [] for key in ("question", "context", "answers", "starts", "group")}
    ids, official = list[str](), list[str]()
    for asked in questions(where, folder / _FILE):
        if asked.problem or asked.article not in split_of:
            what = asked.problem or f"article '{asked.article}' is in no split"
            raise UserError(where, f"{folder}/{asked.place}: {what}", "fetch it again")
        ids.append(asked.id)
        official.append(split_of[asked.article])
        for key, value in zip(columns, asked.values, strict=True):
            columns[key].append(value)
    note = (
        "the development set, rebuilt, with a split of its articles of our own: not comparable with published results"
    )
    source = {**source, "title": "SQuAD 1.1 (development set, own split)", "note": note}
    return TextExamples("span", ids, columns, (), official, source)
