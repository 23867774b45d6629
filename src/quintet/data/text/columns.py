"""Tagged sentences in columns: a word and its tag a line, a blank line between sentences, as CoNLL 2003 wrote them.

Tags are of IOB2: B-TYPE for the first word of an entity, I-TYPE for the others, O outside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from quintet.data.text.lines import NOT_UTF8, lines

_TAG = re.compile(r"O|[BI]-\S+")
# CoNLL's mark between documents.
_DOCUMENT = "-DOCSTART-"


@dataclass
class Sentence:
    """Words and tags; `line` is where it begins, `problem` the first line that is wrong and why."""

    line: int
    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    problem: tuple[int, str] | None = None


def sentences(where: str, path: Path, word_column: int, tag_column: int) -> Iterator[Sentence]:
    """The sentences of a file, whole or with what is wrong; columns are counted from 0, or from -1 at the end."""
    sentence, width = Sentence(1), None
    for number, line in [*lines(where, path), (0, "")]:
        cells = line.split() if line is not None else []
        if line is not None and (not cells or cells[0] == _DOCUMENT):
            if sentence.words or sentence.problem:
                yield sentence
            sentence = Sentence(number + 1)
            continue
        width = width or len(cells)
        reason = _wrong(line, cells, width, word_column, tag_column, sentence)
        if reason:
            sentence.problem = sentence.problem or (number, reason)
        else:
            sentence.words.append(cells[word_column])
            sentence.tags.append(cells[tag_column])


def _wrong(
    line: str | None, cells: list[str], width: int, word_column: int, tag_column: int, sentence: Sentence
) -> str | None:
    if line is None:
        return NOT_UTF8
    if len(cells) != width:
        return f"{len(cells)} columns where the first line has {width}"
    if not all(-width <= column < width for column in (word_column, tag_column)):
        return f"{width} columns, so there is no column {word_column if abs(word_column) >= width else tag_column}"
    return wrong_tag(cells[tag_column], sentence.tags[-1] if sentence.tags else "O") if not sentence.problem else None


def wrong_tag(tag: str, before: str) -> str | None:
    """Why a tag cannot follow the one before it in IOB2, or None."""
    if not _TAG.fullmatch(tag):
        return f"'{tag}' is no IOB2 tag: it takes O, B-TYPE or I-TYPE"
    if tag.startswith("I-") and before[2:] != tag[2:]:
        return f"{tag} after {before}: an entity begins with B-{tag[2:]}"
    return None
