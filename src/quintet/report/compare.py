"""Leaderboards: who is best, who cannot be told from the best, what beats the baselines, at what cost.

One leaderboard for each task and data set, of what learnt from all labels. Three families of tests, each
Holm-corrected on its own: the best against every other row, every neural model against the strongest baseline, and
what pre-training or a network, against a baseline, gains at each share of the labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from quintet.errors import UserError
from quintet.evaluation.statistics import ALPHA, Comparison, Estimate, compare, holm
from quintet.report import labels
from quintet.report.collect import Collected, Evaluated

COSTS: dict[str, Callable[[Mapping[str, Any]], float | None]] = {
    "train_seconds": lambda cost: cost.get("train_seconds"),
    "parameters": lambda cost: cost.get("parameters"),
    "flops": lambda cost: cost.get("flops"),
    "latency": lambda cost: ((cost.get("latency_ms") or {}).get("1") or {}).get("p50"),
}


@dataclass(frozen=True)
class Row:
    """A line of a leaderboard.

    Comparisons are this row minus the other. `against_best` is None for the best itself,
    `against_baseline` and `beats_baselines` for baselines and where there is none. `pareto` names the
    costs for which no other row is at least as good and as cheap, and better in one of the two.
    """

    rank: int
    evaluated: Evaluated
    against_best: Comparison | None
    p_holm: float | None
    tied_with_best: bool
    against_baseline: Comparison | None
    baseline_p_holm: float | None
    beats_baselines: bool | None
    expected: float | None
    expected_reached: bool | None
    pareto: tuple[str, ...]

    @property
    def estimate(self) -> Estimate:
        return self.evaluated.estimate

    def cost(self, name: str) -> float | None:
        """One of COSTS, None where it was not measured."""
        return COSTS[name](self.evaluated.cost)


@dataclass(frozen=True)
class Board:
    """One task on one data set, rows from best to worst.

    `champion` is the experiment with the best mean score on *validation*: choosing by test figures
    would make them too good to be true. What learnt from fewer labels than the rows is `partial`, and stands
    in `curves` where the same network learnt from other shares as well.
    """

    task: str
    data: str
    metric: str
    direction: str
    rows: tuple[Row, ...]
    champion: str | None
    partial: tuple[Evaluated, ...]
    curves: tuple[labels.Curve, ...]
    gains: tuple[labels.Gain, ...]

    @property
    def labels(self) -> float:
        """The share of the labels that its rows learnt from: all, unless nothing did."""
        return self.best.evaluated.labels

    @property
    def evaluated(self) -> tuple[Evaluated, ...]:
        """The rows', from best to worst, then those that learnt from fewer labels."""
        return (*(row.evaluated for row in self.rows), *self.partial)

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.direction == "max" else -1

    @property
    def best(self) -> Row:
        return self.rows[0]

    @property
    def examples(self) -> int:
        return len(self.best.evaluated.examples.ids)

    @property
    def tied(self) -> list[Row]:
        """The rows that cannot be told from the best, without it."""
        return [row for row in self.rows[1:] if row.tied_with_best]

    @property
    def strongest_baseline(self) -> Row | None:
        return next((row for row in self.rows if row.evaluated.baseline), None)

    @property
    def neural(self) -> list[Row]:
        return [row for row in self.rows if not row.evaluated.baseline]

    @property
    def families(self) -> dict[str, Row]:
        """Each family's best row, families in order of these."""
        best: dict[str, Row] = {}
        for row in self.neural:
            best.setdefault(row.evaluated.family, row)
        return best

    def row(self, experiment: str) -> Row:
        return next(row for row in self.rows if row.evaluated.experiment == experiment)


def leaderboards(collected: Collected, *, resamples: int, level: float) -> tuple[Board, ...]:
    """A board for each task and data set that is named; where most networks meet comes first, equals by name."""
    groups: dict[tuple[str, str], list[Evaluated]] = {}
    for evaluated in collected.evaluated:
        groups.setdefault((evaluated.task, evaluated.data), []).append(evaluated)
    ordered = sorted(groups.items(), key=lambda named: (-sum(not e.baseline for e in named[1]), named[0]))
    return tuple(_board(group, resamples, level) for _, group in ordered)


def _board(group: list[Evaluated], resamples: int, level: float) -> Board:
    first = group[0]
    for other in group[1:]:
        _same_test(first, other)
    sign = 1 if first.direction == "max" else -1

    def paired(a: Evaluated, b: Evaluated) -> Comparison:
        weights = (a.examples.weights, b.examples.weights)
        return compare(a.examples.scores, b.examples.scores, weights=weights, resamples=resamples, level=level)

    most = max(e.labels for e in group)
    curves, gains = labels.curves(group, sign), labels.gains(group, paired)
    partial = tuple(e for e in group if e.labels < most)
    group = [e for e in group if e.labels == most]
    # Equal figures: a neural model before a baseline, then by name, so that the order is always the same.
    ranked = sorted(group, key=lambda e: (-sign * e.estimate.value, e.baseline, e.experiment))
    best = ranked[0]
    baseline = next((e for e in ranked if e.baseline), None)

    rivals = ranked[1:]
    to_best = {e.experiment: paired(e, best) for e in rivals}
    best_p = dict(zip(to_best, holm([c.p_value for c in to_best.values()]), strict=True))
    neural = [e for e in ranked if not e.baseline] if baseline else []
    to_base = {e.experiment: paired(e, baseline) for e in neural if baseline}
    base_p = dict(zip(to_base, holm([c.p_value for c in to_base.values()]), strict=True))

    rows = []
    for rank, e in enumerate(ranked, 1):
        key = e.experiment
        expected = e.expect.get(e.primary)
        beats = None
        if key in to_base:
            beats = sign * to_base[key].difference > 0 and base_p[key] < ALPHA
        rows.append(
            Row(
                rank=rank,
                evaluated=e,
                against_best=to_best.get(key),
                p_holm=best_p.get(key),
                tied_with_best=e is best or best_p[key] >= ALPHA,
                against_baseline=to_base.get(key),
                baseline_p_holm=base_p.get(key),
                beats_baselines=beats,
                expected=expected,
                expected_reached=None if expected is None else sign * (e.estimate.value - expected) >= 0,
                pareto=tuple(name for name in COSTS if _on_front(e, ranked, name, sign)),
            )
        )
    champion = _champion(ranked, sign)
    return Board(first.task, first.data, first.primary, first.direction, tuple(rows), champion, partial, curves, gains)


def _same_test(a: Evaluated, b: Evaluated) -> None:
    """Paired tests need the same examples; anything else is a stale result."""
    if a.experiment == b.experiment:
        raise UserError(str(b.file), f"'{b.experiment}' is named twice for {b.task} on {b.data}", f"see {a.file}")
    if (a.primary, a.direction) != (b.primary, b.direction):
        raise UserError(str(b.file), f"ranks by {b.primary}, but {a.file} by {a.primary}", "run: dvc repro")
    same = np.array_equal(a.examples.ids, b.examples.ids) and np.array_equal(a.examples.targets, b.examples.targets)
    digests = (a.data_digest, b.data_digest)
    if not same or (None not in digests and digests[0] != digests[1]):
        what = f"was tested on another version of '{b.data}' than {a.file}"
        raise UserError(str(b.file), what, "bring both up to date with: dvc repro")


def _on_front(e: Evaluated, rows: list[Evaluated], name: str, sign: int) -> bool:
    cost = COSTS[name](e.cost)
    if cost is None:
        return False
    for other in rows:
        price = COSTS[name](other.cost)
        if price is None:
            continue
        gain = sign * (other.estimate.value - e.estimate.value)
        if gain >= 0 and price <= cost and (gain > 0 or price < cost):
            return False
    return True


def _champion(rows: list[Evaluated], sign: int) -> str | None:
    trained = [(e.training, e) for e in rows if e.training]
    if not trained:
        return None
    return min(trained, key=lambda t: (-sign * t[0].validation_score, t[1].experiment))[1].experiment
