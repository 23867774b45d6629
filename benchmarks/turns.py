"""Sides that take turns, so that whatever else the machine does falls on all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

import numpy as np

# Many short turns: the machine's mood changes from second to second, and a pair of turns shares it.
ROUNDS = 15
SECONDS = 0.5
# A slow network's turns are longer, and fewer.
LEAST_STEPS = 3
LEAST_ROUNDS = 5
LONGEST_SECONDS = 90.0


def alternate(sides: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """What each side gives, round by round; the first round warms up and does not count."""
    found: dict[str, list[float]] = {side: [] for side in sides}
    start = time.perf_counter()
    for number in range(ROUNDS + 1):
        if number > LEAST_ROUNDS and time.perf_counter() - start > LONGEST_SECONDS:
            break
        for side, turn in sides.items():
            rate = turn()
            if number:
                found[side].append(rate)
    return found


def ratio(ours: list[float], theirs: list[float]) -> str:
    """The median ratio of neighbouring turns, with a bootstrap interval of 95 %."""
    pairs = np.array(ours) / np.array(theirs)
    drawn = np.random.default_rng(0).integers(0, len(pairs), (2000, len(pairs)))
    low, high = np.quantile(np.median(pairs[drawn], axis=1), [0.025, 0.975])
    return f"{median(pairs.tolist()):.2f} [{low:.2f}, {high:.2f}]"


def table(found: Mapping[str, list[float]]) -> str:
    """A line for each side, those after the first with their ratios to it; then whether one of them is as fast."""
    (peer, theirs), *ours = found.items()
    lines = [f"  {peer:30} {median(theirs):6.2f}"]
    lines += [f"  {side:30} {median(rates):6.2f}   {ratio(rates, theirs)} x" for side, rates in ours]
    met = max(median(rates) for _, rates in ours) >= median(theirs)
    return "\n".join([*lines, f"Goal: at least 1.0: {'met' if met else 'MISSED'}.\n"])
