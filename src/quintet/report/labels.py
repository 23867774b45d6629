"""Label efficiency: what networks make of a share of the training labels, and what pre-training buys at each share."""

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
    """One network, trained alike on at least two shares of the labels; `points` from few labels to many."""

    title: str
    points: tuple[Evaluated, ...]

    @property
    def fresh(self) -> bool:
        """Whether it is the control of a fine-tuning: the same network from scratch."""
        return bool(_settings(self.points[0])["fresh"])


@dataclass(frozen=True)
class Gain:
    """What pre-training buys at one share of the labels; the comparison is pre-trained minus from scratch."""

    pretrained: Evaluated
    fresh: Evaluated
    comparison: Comparison
    p_holm: float

    @property
    def source(self) -> str:
        """The pre-training's name."""
        return str(_settings(self.pretrained)["pretrained"])


def curves(group: Sequence[Evaluated], sign: int) -> tuple[Curve, ...]:
    """The curves of one board, in order of titles. Of two trainings on the same labels validation chooses."""
    lines: dict[str, dict[float, Evaluated]] = {}
    for e in sorted((e for e in group if e.training), key=lambda e: e.experiment):
        points = lines.setdefault(_network(e), {})
        if e.labels not in points or sign * (_validation(e) - _validation(points[e.labels])) > 0:
            points[e.labels] = e
    drawn = [tuple(points[share] for share in sorted(points)) for points in lines.values() if len(points) > 1]
    titles = [points[-1].title for points in drawn]
    named = [
        Curve(title if titles.count(title) == 1 else f"{title} ({points[-1].experiment})", points)
        for title, points in zip(titles, drawn, strict=True)
    ]
    return tuple(sorted(named, key=lambda curve: curve.title))


def gains(group: Sequence[Evaluated], paired: Callable[[Evaluated, Evaluated], Comparison]) -> tuple[Gain, ...]:
    """Each pre-trained network against the same one from scratch on as many labels, Holm-corrected together."""
    tuned = [e for e in group if e.training and _settings(e)["pretrained"] is not None]
    controls: dict[tuple[str, float], Evaluated] = {}
    for e in sorted(tuned, key=lambda e: e.experiment):
        if _settings(e)["fresh"]:
            controls.setdefault((_network(e, fresh=True), e.labels), e)
    pairs = [
        (e, controls[key])
        for e in sorted(tuned, key=lambda e: (e.title, e.labels, e.experiment))
        if not _settings(e)["fresh"] and (key := (_network(e, fresh=True), e.labels)) in controls
    ]
    compared = [paired(e, control) for e, control in pairs]
    adjusted = holm([comparison.p_value for comparison in compared])
    return tuple(Gain(*pair, *found) for pair, found in zip(pairs, zip(compared, adjusted, strict=True), strict=True))


def _network(e: Evaluated, fresh: bool | None = None) -> str:
    """What makes two trainings those of one network; `fresh` stands in for its own."""
    settings = _settings(e)
    how = {key: value for key, value in settings["training"].items() if key not in _AMOUNT}
    start = [settings["pretrained"], settings["fresh"] if fresh is None else fresh]
    return json.dumps([settings["model"], start, how], sort_keys=True)


def _settings(e: Evaluated) -> dict[str, Any]:
    assert e.training is not None, "baselines learn from all labels"
    return e.training.settings


def _validation(e: Evaluated) -> float:
    assert e.training is not None
    return e.training.validation_score
