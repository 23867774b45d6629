"""The test examples that exactly one family got right, and those that none did.

A family gets an example right when more than half of its trained models do, counting each seed of each
of its experiments on this data set once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quintet.report.collect import Gallery
from quintet.report.compare import Board


@dataclass(frozen=True)
class Verdict:
    """What a family made of an example: its most frequent answer, and how many of its models were right."""

    family: str
    answer: str
    right: int
    models: int


@dataclass(frozen=True)
class Case:
    """A test example; `row` is its place in the gallery, None where the gallery lacks it."""

    id: str
    actual: str
    verdicts: tuple[Verdict, ...]
    row: int | None


@dataclass(frozen=True)
class Group:
    """All examples of which this is true, the clearest first. `family` is None where none was right."""

    family: str | None
    cases: tuple[Case, ...]


def groups(board: Board, gallery: Gallery | None) -> tuple[Group, ...]:
    """A group for each family, then the one of no family; none where there are fewer than two families."""
    families = list(board.families)
    if len(families) < 2:
        return ()
    reference = board.best.evaluated.examples
    targets, ids = reference.targets, reference.ids
    of_family = {f: [r.evaluated.examples for r in board.neural if r.evaluated.family == f] for f in families}
    said = {f: np.concatenate([e.predictions for e in examples]) for f, examples in of_family.items()}
    hits = {f: np.concatenate([e.right for e in examples]) for f, examples in of_family.items()}
    share = np.stack([hits[family].mean(axis=0) for family in families])
    right = share > 0.5
    at = {} if gallery is None else {str(name): i for i, name in enumerate(gallery.ids)}

    def case(i: int) -> Case:
        verdicts = []
        for family in families:
            answers, counts = np.unique(said[family][:, i], return_counts=True)
            right = int(hits[family][:, i].sum())
            verdicts.append(Verdict(family, str(answers[counts.argmax()]), right, len(said[family])))
        return Case(str(ids[i]), str(targets[i]), tuple(verdicts), at.get(str(ids[i])))

    found = []
    for number, family in enumerate(families):
        others = np.delete(share, number, axis=0).max(axis=0)
        only = np.flatnonzero(right[number] & (right.sum(axis=0) == 1))
        # Rounded, so that equal gaps of shares compare equal and the id decides.
        gap = np.round(share[number] - others, 9)
        clearest = sorted(only, key=lambda i: (-gap[i], str(ids[i])))
        found.append(Group(family, tuple(case(int(i)) for i in clearest)))
    none = sorted(np.flatnonzero(~right.any(axis=0)), key=lambda i: (round(share[:, i].sum(), 9), str(ids[i])))
    return (*found, Group(None, tuple(case(int(i)) for i in none)))
