"""Intervals and paired tests: how far a test figure can be trusted.

Every score comes as an array [seed example]: row s holds what the model trained from seed s got on
each test example, in one order of examples for all. Two things are random in such a table: which
examples were drawn, and how the trainings fell out.

* **Intervals** of one model's figure draw both again, examples and seeds crosswise: a resample takes
  examples with replacement, the same ones for every seed, and seeds with replacement (the
  "pigeonhole" bootstrap; A. Owen 2007, "The pigeonhole bootstrap", Ann. Appl. Stat. 1(2), sec. 3).
  It is somewhat too wide for noise proper to one example *and* seed (Owen, theorem 4), and too
  narrow for the spread between seeds, by a factor of about (S-1)/S in variance for S seeds: three
  seeds say little about a fourth. With one seed only the examples are drawn.
* **Comparisons** of two models average each example's score over seeds and look at the differences
  example by example. Test and interval are about *these trained models* on new examples; they draw
  no seeds.

Everything is seeded: the same input gives the same numbers.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

RESAMPLES = 1000
LEVEL = 0.95
# Two experiments are called tied when the adjusted p of their difference is at least this.
ALPHA = 0.05
# Weights of this many resampled examples are held at once: 16 MB.
_BLOCK = 2_000_000


@dataclass(frozen=True)
class Estimate:
    """A figure averaged over seeds, its bootstrap interval, and the figure of each seed."""

    value: float
    low: float
    high: float
    per_seed: tuple[float, ...]


@dataclass(frozen=True)
class Comparison:
    """How `a` differs from `b` on the same examples: mean of a - b.

    `d` is Cohen's dz, the mean difference in units of the differences' standard deviation (Lakens
    2013, "Calculating and reporting effect sizes", Front. Psychol. 4:863, eq. 7); None where that
    deviation is zero but the difference is not. `p_value` is two-sided.
    """

    difference: float
    low: float
    high: float
    d: float | None
    p_value: float


def mean_estimate(values: ArrayLike, *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0) -> Estimate:
    """Mean of per-example values [seed example] (accuracy from 0/1 scores, NLL), with its interval.

    The interval holds the quantiles of the resampled means (Efron & Tibshirani 1993, "An
    Introduction to the Bootstrap", sec. 13.3). Where every example scored alike it has no width:
    the sample then shows no spread, which is not the same as certainty.
    """
    table = _table(values)
    means = table.mean(axis=1)

    def metric(row: int, weights: Floats) -> Floats:
        return np.asarray(weights @ table[row] / weights.sum(axis=1))

    draws = _resampled(metric, *table.shape, resamples=resamples, seed=seed)
    return _estimate(means, np.quantile(draws, _tails(level)))


def metric_estimate(
    metric: Callable[[int, Floats], Floats],
    seeds: int,
    examples: int,
    *,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Estimate:
    """A metric that is no mean of per-example values, averaged over seeds, with its interval.

    `metric(s, weights)` gives, for the model of the s-th seed, one value for each row of `weights`
    [resample example], which say how often each example counts. Resampled values of such metrics
    lie beside the estimate on average (a calibration error grows, an F1 shrinks), so their
    quantiles are shifted by that estimated bias (Efron & Tibshirani 1993, sec. 10.2) and cut to
    `bounds`, the values the metric can take.
    """
    everyone = np.ones((1, examples))
    values = np.array([float(metric(row, everyone)[0]) for row in range(seeds)])
    draws = _resampled(metric, seeds, examples, resamples=resamples, seed=seed)
    shifted = np.quantile(draws, _tails(level)) - draws.mean() + values.mean()
    return _estimate(values, np.clip(shifted, *bounds))


@dataclass(frozen=True)
class Mean:
    """The mean of per-example values [example]."""

    values: Floats

    def __call__(self, weights: Floats) -> Floats:
        """One figure for each row of `weights` [resample example], which say how often each example counts."""
        return np.asarray(weights @ self.values / weights.sum(axis=1))


@dataclass(frozen=True)
class Ratio:
    """A sum of per-example values over another, such as an F1 from counts; zero where both sums are."""

    numerators: Floats
    denominators: Floats

    @property
    def bounds(self) -> tuple[float, float]:
        """The values it can take, whichever examples are drawn: those of a share, where each example's is one."""
        low = 0.0 if (self.numerators >= 0).all() else -math.inf
        return low, 1.0 if (self.numerators <= self.denominators).all() else math.inf

    def __call__(self, weights: Floats) -> Floats:
        """One figure for each row of `weights` [resample example]."""
        below = weights @ self.denominators
        return np.divide(weights @ self.numerators, below, out=np.zeros_like(below), where=below > 0)


@dataclass(frozen=True)
class Figure:
    """Any other figure, from weights [resample example]; `bounds` are the values it can take."""

    function: Callable[[Floats], Floats]
    bounds: tuple[float, float] = (-math.inf, math.inf)

    def __call__(self, weights: Floats) -> Floats:
        """One figure for each row of `weights` [resample example]."""
        return self.function(weights)


Measure = Mean | Ratio | Figure


def estimate(
    by_seed: Sequence[Measure], examples: int, *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0
) -> Estimate:
    """A measure averaged over seeds, with its interval: `mean_estimate` or `metric_estimate`, as it takes."""
    means = [m.values for m in by_seed if isinstance(m, Mean)]
    if len(means) == len(by_seed):
        return mean_estimate(np.stack(means), resamples=resamples, level=level, seed=seed)
    spans = [m.bounds for m in by_seed if isinstance(m, Figure | Ratio)]
    bounds = min(low for low, _ in spans), max(high for _, high in spans)
    return metric_estimate(
        lambda row, weights: by_seed[row](weights),
        len(by_seed),
        examples,
        bounds=bounds,
        resamples=resamples,
        level=level,
        seed=seed,
    )


def macro_f1_estimate(
    targets: ArrayLike,
    predictions: ArrayLike,
    classes: int,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Estimate:
    """Macro-F1 with its interval, from targets [example] and predictions [seed example]."""
    truth, said = np.asarray(targets, np.int64), np.atleast_2d(np.asarray(predictions, np.int64))

    def metric(row: int, weights: Floats) -> Floats:
        return macro_f1(truth, said[row], classes, weights)

    return metric_estimate(metric, *said.shape, bounds=(0.0, 1.0), resamples=resamples, level=level, seed=seed)


def calibration_estimate(
    confidences: ArrayLike,
    right: ArrayLike,
    *,
    bins: int = 15,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Estimate:
    """Expected calibration error with its interval, from arrays [seed example]."""
    trust, hits = _table(confidences), _table(right)

    def metric(row: int, weights: Floats) -> Floats:
        return calibration_error(trust[row], hits[row], weights, bins=bins)

    return metric_estimate(metric, *trust.shape, bounds=(0.0, 1.0), resamples=resamples, level=level, seed=seed)


def macro_f1(targets: NDArray[np.int64], predictions: NDArray[np.int64], classes: int, weights: Floats) -> Floats:
    """F1 averaged over classes, one value for each row of `weights` [resample example].

    A class that is neither among the targets nor among the predictions of a resample is left out of
    its average, as torchmetrics does.
    """
    of_class = np.eye(classes)
    actual = weights @ of_class[targets]
    said = weights @ of_class[predictions]
    both = weights @ (of_class[targets] * (targets == predictions)[:, None])
    seen = actual + said > 0
    f1 = np.divide(2 * both, actual + said, out=np.zeros_like(both), where=seen)
    return np.asarray(f1.sum(axis=1) / seen.sum(axis=1))


def calibration_error(confidences: Floats, right: Floats, weights: Floats, *, bins: int = 15) -> Floats:
    """Expected calibration error, one value for each row of `weights` [resample example].

    The gap between mean confidence and share of right answers in each of `bins` equal ranges of
    confidence, averaged by their counts (Guo et al. 2017, "On Calibration of Modern Neural
    Networks", eq. 3). As in torchmetrics a range holds its lower edge, so that a confidence of
    exactly 1 stands in a range of its own.
    """
    ranges = np.digitize(confidences, np.linspace(0, 1, bins + 1)) - 1
    gap = np.eye(bins + 1)[ranges] * (right - confidences)[:, None]
    return np.asarray(np.abs(weights @ gap).sum(axis=1) / weights.sum(axis=1))


def compare(
    a: ArrayLike,
    b: ArrayLike,
    *,
    weights: tuple[ArrayLike, ArrayLike] | None = None,
    resamples: int = RESAMPLES,
    permutations: int = 10_000,
    level: float = LEVEL,
    seed: int = 0,
) -> Comparison:
    """Paired comparison of scores [seed example] on the same examples in the same order.

    Each side may have its own number of seeds. The test is `sign_flip_p`; the interval draws
    examples with replacement and takes quantiles of the mean difference. With `weights`, tables like
    the scores, the figures compared are ratios: scores summed over weights summed (see `_compare_ratios`).
    """
    left, right = _table(a), _table(b)
    assert left.shape[1] == right.shape[1], "a paired comparison needs the same examples"
    if weights is not None:
        below = _table(weights[0]), _table(weights[1])
        if not all(bool((table == 1).all()) for table in below):
            return _compare_ratios(left, right, below, resamples, permutations, level, seed)
    differences = left.mean(axis=0) - right.mean(axis=0)
    # Scores are right or wrong in most tasks: their means over seeds are then whole multiples of
    # 1/lcm, and saying so takes the rounding out of the sums.
    step = 1 / math.lcm(len(left), len(right))
    on_lattice = bool(np.all(left == np.rint(left)) and np.all(right == np.rint(right)))
    if on_lattice:
        differences = np.rint(differences / step) * step
    effect = mean_estimate(differences[None], resamples=resamples, level=level, seed=seed)
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    if effect.value == 0:
        d: float | None = 0.0
    else:
        # A spread of rounding errors only is none.
        d = effect.value / spread if spread > 1e-12 * abs(effect.value) else None
    p = sign_flip_p(differences, step=step if on_lattice else None, permutations=permutations, seed=seed)
    return Comparison(effect.value, effect.low, effect.high, d, p)


def _compare_ratios(
    left: Floats,
    right: Floats,
    below: tuple[Floats, Floats],
    resamples: int,
    permutations: int,
    level: float,
    seed: int,
) -> Comparison:
    """Paired comparison of ratios of sums, such as F1s: all tables are [seed example].

    The difference is that of the seeds' mean ratios; its interval draws examples. The test exchanges the
    two models' counts, summed over seeds, example by example at random (approximate randomisation; Yeh 2000,
    "More accurate tests for the statistical significance of result differences", sec. 3.3). There is no
    spread of single differences, so `d` is None.
    """
    examples = left.shape[1]
    sides = [
        [Ratio(above, under) for above, under in zip(table, floor, strict=True)]
        for table, floor in zip((left, right), below, strict=True)
    ]

    def difference(weights: Floats) -> Floats:
        ours, theirs = (np.mean([ratio(weights) for ratio in side], axis=0) for side in sides)
        return np.asarray(ours - theirs)

    effect = metric_estimate(
        lambda _, weights: difference(weights), 1, examples, resamples=resamples, level=level, seed=seed
    )
    above = np.stack([left.mean(axis=0), right.mean(axis=0)])
    under = np.stack([below[0].mean(axis=0), below[1].mean(axis=0)])
    total_above, total_under = above.sum(axis=0), under.sum(axis=0)

    def gap(ours: Floats, ours_under: Floats) -> Floats:
        """|ratio - ratio of the rest|, for sums over the examples that count as the first model's."""
        theirs, theirs_under = total_above.sum() - ours, total_under.sum() - ours_under
        first = np.divide(ours, ours_under, out=np.zeros_like(ours), where=ours_under > 0)
        second = np.divide(theirs, theirs_under, out=np.zeros_like(ours), where=theirs_under > 0)
        return np.asarray(np.abs(first - second))

    observed = float(gap(above[:1].sum(axis=1), under[:1].sum(axis=1))[0])
    differ = np.flatnonzero((above[0] != above[1]) | (under[0] != under[1]))
    if not len(differ):
        return Comparison(effect.value, effect.low, effect.high, 0.0, 1.0)
    fixed, fixed_under = (np.delete(table[0], differ).sum() for table in (above, under))
    reached = tried = 0
    for kept in _exchanges(len(differ), permutations, seed):
        tried += len(kept)
        ours = fixed + kept @ above[0, differ] + (1 - kept) @ above[1, differ]
        ours_under = fixed_under + kept @ under[0, differ] + (1 - kept) @ under[1, differ]
        reached += int(np.count_nonzero(gap(ours, ours_under) >= observed - 1e-12))
    every = 2 ** len(differ) == tried
    p = reached / tried if every else (reached + 1) / (tried + 1)
    return Comparison(effect.value, effect.low, effect.high, None, p)


def _exchanges(examples: int, permutations: int, seed: int) -> Iterator[Floats]:
    """Rows [exchange example] of 1 where an example stays with its model and 0 where the two change places.

    All there are where they are no more than `permutations`, otherwise as many at random.
    """
    if examples < 63 and 2**examples <= permutations:
        yield (np.arange(2**examples)[:, None] >> np.arange(examples) & 1).astype(np.float64)
        return
    rng = np.random.default_rng(seed)
    for count in _blocks(permutations, examples):
        yield rng.integers(0, 2, (count, examples), dtype=np.int8).astype(np.float64)


def sign_flip_p(differences: Floats, *, step: float | None = None, permutations: int = 10_000, seed: int = 0) -> float:
    """Two-sided p of the mean of paired differences: how often random signs give as large a mean.

    If the two models are exchangeable, each difference is as likely with either sign (Fisher's
    paired randomisation test; Good 2005, "Permutation, Parametric and Bootstrap Tests of
    Hypotheses", sec. 3.2). Exact where all differences are whole multiples of `step`, from the
    distribution of their signed sum, and where few enough differ that all signs can be tried.
    Otherwise `permutations` random signs, counting the observed one among them so that p is never
    zero (Phipson & Smyth 2010, "Permutation p-values should never be zero", eq. 2).
    """
    sizes = np.abs(differences[differences != 0])
    if not len(sizes):
        return 1.0
    observed = abs(float(differences.sum()))
    if step is not None:
        whole = np.rint(sizes / step).astype(np.int64)
        return _lattice_p(whole, round(observed / step))
    # Sums of the same numbers in another order may differ in the last digits; they count as equal.
    enough = observed - 1e-9 * float(sizes.sum())
    if 2 ** len(sizes) <= permutations:
        signs = 1.0 - 2.0 * (np.arange(2 ** len(sizes))[:, None] >> np.arange(len(sizes)) & 1)
        return float(np.mean(np.abs(signs @ sizes) >= enough))
    rng = np.random.default_rng(seed)
    reached = 0
    for count in _blocks(permutations, len(sizes)):
        signs = rng.integers(0, 2, (count, len(sizes)), dtype=np.int8) * 2.0 - 1.0
        reached += int(np.count_nonzero(np.abs(signs @ sizes) >= enough))
    return (reached + 1) / (permutations + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p of a family of tests, in the given order; each is at least the raw p.

    Rejecting where it is below alpha keeps the chance of any false rejection below alpha (Holm 1979,
    "A simple sequentially rejective multiple test procedure", Scand. J. Stat. 6(2)).
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def _table(values: ArrayLike) -> Floats:
    table = np.atleast_2d(np.asarray(values, np.float64))
    assert table.ndim == 2, "scores are [seed example]"
    assert table.size, "scores are not empty"
    assert np.isfinite(table).all(), "scores are finite"
    return table


def _tails(level: float) -> tuple[float, float]:
    return (1 - level) / 2, (1 + level) / 2


def _estimate(per_seed: Floats, quantiles: Floats) -> Estimate:
    value = float(per_seed.mean())
    # Few resamples of a very skewed sample can leave the estimate outside; no reader could use that.
    low, high = min(value, float(quantiles[0])), max(value, float(quantiles[1]))
    return Estimate(value, low, high, tuple(float(v) for v in per_seed))


def _resampled(
    metric: Callable[[int, Floats], Floats], seeds: int, examples: int, *, resamples: int, seed: int
) -> Floats:
    """The metric, averaged over resampled seeds, of each resample of examples."""
    rng = np.random.default_rng(seed)
    values = []
    for count in _blocks(resamples, examples):
        drawn = rng.integers(0, examples, (count, examples)) + np.arange(count)[:, None] * examples
        weights = np.bincount(drawn.ravel(), minlength=count * examples).reshape(count, examples).astype(np.float64)
        of_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=count) / seeds
        by_seed = np.stack([metric(row, weights) for row in range(seeds)], axis=1)
        values.append((by_seed * of_seed).sum(axis=1))
    return np.concatenate(values)


def _blocks(total: int, width: int) -> Iterator[int]:
    """Sizes that sum to `total`, so that a block of rows of `width` stays small."""
    size = max(1, _BLOCK // width)
    for start in range(0, total, size):
        yield min(size, total - start)


def _lattice_p(sizes: NDArray[np.int64], observed: int) -> float:
    """P(|sum of sizes with random signs| >= observed), exactly.

    The signed sum is 2 * (sum of the sizes that got a plus) - total; sizes of one magnitude give a
    binomial count of pluses, and the sums of different magnitudes are convolved.
    """
    plus = np.ones(1)
    for size, count in zip(*np.unique(sizes, return_counts=True), strict=True):
        # Logarithms, since 2^count overflows for a thousand differences.
        log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
        binomial = np.exp(log_factorial[-1] - log_factorial - log_factorial[::-1] - count * math.log(2))
        spaced = np.zeros(size * count + 1)
        spaced[::size] = binomial
        plus = np.convolve(plus, spaced)
    total = int(sizes.sum())
    signed = 2 * np.arange(total + 1) - total
    # Thousands of differences of one sign have a p below what a float can hold; it is still not zero.
    return min(1.0, max(sys.float_info.min, float(plus[np.abs(signed) >= observed].sum())))
