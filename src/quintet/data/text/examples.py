"""What a reader of texts hands over before the splits are cut."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from quintet.data.listing import Problem

# What an example has besides its id, for each target.
COLUMNS: dict[str, tuple[str, ...]] = {
    "class": ("text", "target"),
    "tags": ("words", "tags"),
    "span": ("question", "context", "answers", "starts", "group"),
    "next": ("sentences",),
}


@dataclass(frozen=True)
class TextExamples:
    """All examples of a set of texts.

    ids         a name for each, stable between preparations
    columns     those of `COLUMNS` for the target, one value an example:
                class: text, target (index into `classes`)
                tags: words and tags, lists of equal length; a tag is a name, O or B-TYPE or I-TYPE (IOB2)
                span: question, context, answers, starts (offset of each answer in the context), group
                next: sentences of a document, in order
    official    the split of each example; a split that none is in is cut from train
    source      where it came from: 'took', 'path' or 'url', 'title', 'licence', 'source', 'note'
    set_aside   what was left out, each with its reason
    """

    target: str
    ids: list[str]
    columns: dict[str, list[Any]]
    classes: tuple[str, ...]
    official: list[str]
    source: dict[str, str]
    set_aside: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        assert tuple(self.columns) == COLUMNS[self.target], (self.target, tuple(self.columns))
        assert {len(column) for column in self.columns.values()} == {len(self.ids)} == {len(self.official)}

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: list[int]) -> TextExamples:
        """Those of `rows`, in their order."""
        return TextExamples(
            self.target,
            [self.ids[row] for row in rows],
            {name: [column[row] for row in rows] for name, column in self.columns.items()},
            self.classes,
            [self.official[row] for row in rows],
            self.source,
            self.set_aside,
        )


def tag_names(types: set[str]) -> tuple[str, ...]:
    """The tags of IOB2 for these types of entity: O, then B and I of each type by name."""
    return ("O", *(f"{begins}-{kind}" for kind in sorted(types) for begins in "BI"))
