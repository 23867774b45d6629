"""Label efficiency: what networks make of a share of the training labels, and what is gained at each share."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from quintet.evaluation.statistics import Comparison, holm
from quintet.report.collect import Evaluated

# What may differ along a curve: few examples bear another amount of training, in smaller batches.
_AMOUNT = ("budget", "batch_size", "accumulate", "early_stopping")


@dataclass(frozen=True)
class Curve:
    """One network or baseline, trained alike on at least two shares of the labels; `points` from few labels to many."""

    title: str
    points: tuple[Evaluated, ...]

    @property
    def fresh(self) -> bool:
        """Whether it is the control of a fine-tuning: the same network from scratch."""
        first = self.points[0]
        return not first.baseline and bool(_settings(first)["fresh"])


@dataclass(frozen=True)
class Gain:
    """What a network gains at one share of the labels: on itself from scratch, or on a baseline with as many labels."""

    network: Evaluated
    control: Evaluated
    comparison: Comparison
    p_holm: float

    @property
    def source(self) -> str | None:
        """The pre-training that buys it; None where the control is a baseline."""
        return None if self.control.baseline else str(_settings(self.network)["pretrained"])


def curves(group: Sequence[Evaluated], sign: int) -> tuple[Curve, ...]:
    """The curves of one board, in order of titles. Of two trainings on the same labels validation chooses."""
    lines: dict[str, dict[float, Evaluated]] = {}
    for e in sorted(group, key=lambda e: e.experiment):
        points = lines.setdefault(_network(e), {})
        if e.labels not in points or (not e.baseline and sign * (_validation(e) - _validation(points[e.labels])) > 0):
            points[e.labels] = e
    drawn = [tuple(points[share] for share in sorted(points)) for points in lines.values() if len(points) > 1]
    titles = [points[-1].title for points in drawn]
    named = [
        Curve(title if titles.count(title) == 1 else f"{title} ({points[-1].experiment})", points)
        for title, points in zip(titles, drawn, strict=True)
    ]
    return tuple(sorted(named, key=lambda curve: curve.title))


def gains(group: Sequence[Evaluated], paired: Callable[[Evaluated, Evaluated], Comparison]) -> tuple[Gain, ...]:
    """Each network against its controls, Holm-corrected together.

    A pre-trained network's is the same one from scratch on as many labels; another's, where it learnt from fewer labels
    than there are, each baseline that learnt from as many.
    """
    ordered = sorted(group, key=lambda e: (e.title, e.labels, e.experiment))
    fresh: dict[tuple[str, float], Evaluated] = {}
    for e in sorted(group, key=lambda e: e.experiment):
        if e.training and _settings(e)["fresh"]:
            fresh.setdefault((_network(e, fresh=True), e.labels), e)
    pairs = []
    for e in ordered:
        if not e.training:
            continue
        if _settings(e)["pretrained"] is None:
            pairs += [(e, other) for other in ordered if other.baseline and other.labels == e.labels < 1]
        elif not _settings(e)["fresh"] and (key := (_network(e, fresh=True), e.labels)) in fresh:
            pairs.append((e, fresh[key]))
    compared = [paired(e, control) for e, control in pairs]
    adjusted = holm([comparison.p_value for comparison in compared])
    return tuple(Gain(*pair, *found) for pair, found in zip(pairs, zip(compared, adjusted, strict=True), strict=True))


def _network(e: Evaluated, fresh: bool | None = None) -> str:
    """What makes two trainings those of one network; `fresh` stands in for its own."""
    if e.baseline:
        return json.dumps(e.model)
    settings = _settings(e)
    how = {key: value for key, value in settings["training"].items() if key not in _AMOUNT}
    start = [settings["pretrained"], settings["fresh"] if fresh is None else fresh]
    return json.dumps([settings["model"], start, how], sort_keys=True)


def _settings(e: Evaluated) -> dict[str, Any]:
    assert e.training is not None, "baselines have none"
    return e.training.settings


def _validation(e: Evaluated) -> float:
    assert e.training is not None
    return e.training.validation_score
