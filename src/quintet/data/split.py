"""Fixed, stratified splits.

An example's place depends on the seed and its own id, not on the order in which files are listed,
on a random generator's version, or on the other classes. Exact copies of one input stay in one split:
a test example that also stands in train would measure memory, not learning.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def fingerprints(inputs: NDArray[np.uint8]) -> list[bytes]:
    """A hash of each example's pixels; equal where two examples are exact copies."""
    return [hashlib.blake2b(np.ascontiguousarray(x).data, digest_size=16).digest() for x in inputs]


def _turn(seed: int, salt: str, name: str) -> bytes:
    """Where `name` stands in a shuffled order."""
    return hashlib.sha256(f"{seed}/{salt}/{name}".encode()).digest()


def quotas(count: int, fractions: Mapping[str, float]) -> dict[str, int]:
    """How many of a class's `count` >= 1 + len(fractions) examples each split gets.

    Rounded, but at least one in each and at least one left for train; within one of what was asked.
    """
    asked = {name: max(1, round(count * fraction)) for name, fraction in fractions.items()}
    while count - sum(asked.values()) < 1:
        asked[max(asked, key=lambda name: asked[name] - count * fractions[name])] -= 1
    return {"train": count - sum(asked.values()), **asked}


def stratified(
    ids: Sequence[str],
    targets: Sequence[int] | NDArray[np.int64],
    copies: Sequence[bytes],
    fractions: Mapping[str, float],
    seed: int,
) -> dict[str, NDArray[np.int64]]:
    """Rows of 'train' and of each split of `fractions`, ordered by id.

    Every class must have as many different examples as there are splits. Without copies each class
    is within one example of the fraction asked; copies, which stay together, can shift that by their number.
    """
    classes: dict[int, dict[bytes, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row in sorted(range(len(ids)), key=lambda row: ids[row]):
        classes[int(targets[row])][copies[row]].append(row)
    chosen: dict[str, list[int]] = {name: [] for name in ("train", *fractions)}
    for groups in classes.values():
        for name, rows in _deal(list(groups.values()), ids, fractions, seed).items():
            chosen[name] += rows
    return {name: np.array(sorted(rows, key=lambda row: ids[row]), dtype=np.int64) for name, rows in chosen.items()}


def _deal(
    groups: list[list[int]], ids: Sequence[str], fractions: Mapping[str, float], seed: int
) -> dict[str, list[int]]:
    """Deal one class's groups of copies: in shuffled order, largest first, to the split that lacks most."""
    lacking = quotas(sum(map(len, groups)), fractions)
    assert len(groups) >= len(lacking), "fewer different examples than splits"
    dealt: dict[str, list[int]] = {name: [] for name in lacking}
    groups = sorted(groups, key=lambda rows: (-len(rows), _turn(seed, "split", ids[rows[0]])))
    for index, rows in enumerate(groups):
        empty = [name for name in dealt if not dealt[name]]
        open_to = empty if len(groups) - index <= len(empty) else list(dealt)
        name = max(open_to, key=lambda name: lacking[name])
        dealt[name] += rows
        lacking[name] -= len(rows)
    return dealt


def thin(
    ids: Sequence[str], strata: Sequence[tuple[int, int]], fraction: float, least: int, seed: int
) -> NDArray[np.int64]:
    """Rows of a subset with `fraction` of each stratum, but at least `least` where it has as many."""
    members: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row, stratum in enumerate(strata):
        members[stratum].append(row)
    kept: list[int] = []
    for rows in members.values():
        rows.sort(key=lambda row: _turn(seed, "subset", ids[row]))
        kept += rows[: max(least, round(fraction * len(rows)))]
    return np.array(sorted(kept), dtype=np.int64)


def drawn(
    ids: Sequence[str], classes: Sequence[int] | NDArray[np.int64], labels: float, seed: int
) -> NDArray[np.int64]:
    """Rows of a share of each class (up to 1), or so many rows in all (from 2), of each class as many as can be."""
    if labels <= 1:
        return thin(ids, [(int(c), False) for c in classes], labels, 1, seed)
    members: dict[int, list[int]] = defaultdict(list)
    for row in sorted(range(len(ids)), key=lambda row: _turn(seed, "subset", ids[row])):
        members[int(classes[row])].append(row)
    # The first of each class, then the second of each: more labels hold all that fewer did.
    turns = [
        (place, _turn(seed, "class", str(c)), row) for c, rows in members.items() for place, row in enumerate(rows)
    ]
    return np.array(sorted(row for _, _, row in sorted(turns)[: int(labels)]), dtype=np.int64)


def count_copies(copies: Sequence[bytes], rows: Mapping[str, NDArray[np.int64]]) -> dict[str, int]:
    """How many examples copy an earlier one ('all'), how many of test stand in train or validation ('test_seen')."""
    seen = {copies[i] for split in ("train", "validation") for i in rows[split]}
    return {"all": len(copies) - len(set(copies)), "test_seen": sum(copies[i] in seen for i in rows["test"])}
