"""Intervals and paired tests, against other ways to the same numbers and on simulated truth."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_calibration_error, multiclass_f1_score

from quintet.evaluation import statistics as s

right_or_wrong = st.integers(1, 4).flatmap(
    lambda seeds: st.integers(1, 40).flatmap(
        lambda examples: st.lists(
            st.lists(st.integers(0, 1), min_size=examples, max_size=examples), min_size=seeds, max_size=seeds
        )
    )
)
p_values = st.lists(st.floats(1e-12, 1), min_size=0, max_size=12)


def by_trying_all_signs(differences: list[float]) -> float:
    """The definition of the exact sign-flip p, over every assignment of signs."""
    sums = [
        abs(sum(sign * abs(d) for sign, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    return sum(total >= abs(sum(differences)) - 1e-9 for total in sums) / len(sums)


# Intervals.


@given(right_or_wrong)
@settings(max_examples=60, deadline=None)
def test_the_interval_of_a_mean_holds_the_mean_and_stays_in_range(table: list[list[int]]) -> None:
    estimate = s.mean_estimate(table, resamples=50)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert estimate.value == pytest.approx(np.mean(table))
    assert estimate.per_seed == pytest.approx(np.mean(table, axis=1))


@given(st.integers(0, 2**31), st.integers(1, 3), st.integers(2, 60))
@settings(max_examples=30, deadline=None)
def test_the_interval_of_any_metric_holds_its_estimate(seed: int, seeds: int, examples: int) -> None:
    rng = np.random.default_rng(seed)
    targets, said = rng.integers(0, 4, examples), rng.integers(0, 4, (seeds, examples))
    sure = rng.random((seeds, examples))
    for estimate in (
        s.macro_f1_estimate(targets, said, 4, resamples=50),
        s.calibration_estimate(sure, said == targets, resamples=50),
    ):
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
        assert estimate.value == pytest.approx(np.mean(estimate.per_seed))


def test_the_interval_is_that_of_theory_where_theory_has_one() -> None:
    # With one seed the bootstrap of a mean approaches the normal interval.
    values = np.random.default_rng(0).normal(size=(1, 4000))
    estimate = s.mean_estimate(values, resamples=4000)
    half = 1.96 * values.std() / math.sqrt(values.size)
    assert estimate.low == pytest.approx(values.mean() - half, abs=0.05 * half)
    assert estimate.high == pytest.approx(values.mean() + half, abs=0.05 * half)


def test_seeds_that_disagree_widen_the_interval() -> None:
    scores = np.random.default_rng(1).random((3, 500)) < 0.8
    apart = scores.astype(float)
    apart[0] = 0.2
    wide, narrow = s.mean_estimate(apart), s.mean_estimate(scores)
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)
    # Its range is that of seeds drawn with replacement: from three times the worst to three times the best.
    assert wide.low < 0.3
    assert wide.high > 0.75


def test_all_seeds_share_the_resampled_examples() -> None:
    # Three equal seeds are one seed: were examples drawn anew for each, the interval would shrink by sqrt(3).
    scores = (np.random.default_rng(2).random((1, 300)) < 0.7).astype(float)
    one, three = s.mean_estimate(scores), s.mean_estimate(np.repeat(scores, 3, axis=0))
    assert three.high - three.low == pytest.approx(one.high - one.low, rel=0.1)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    # Models whose answers depend on the example's difficulty, on the training, and on chance.
    rng = np.random.default_rng(3)
    truth = np.mean(rng.normal(1.2, 1, (400, 1)) + rng.normal(0, 0.05, (1, 4000)) + rng.normal(0, 0.5, (400, 4000)) > 0)
    covered = 0
    for _ in range(300):
        latent = rng.normal(1.2, 1, 200) + rng.normal(0, 0.05, (3, 1)) + rng.normal(0, 0.5, (3, 200))
        estimate = s.mean_estimate(latent > 0, resamples=300)
        covered += estimate.low <= truth <= estimate.high
    assert 0.91 <= covered / 300 <= 0.99


def test_equal_input_gives_equal_numbers_and_another_seed_others() -> None:
    scores = np.random.default_rng(4).random((3, 200))
    assert s.mean_estimate(scores) == s.mean_estimate(scores)
    assert s.mean_estimate(scores).low != s.mean_estimate(scores, seed=1).low


def test_ten_thousand_examples_and_three_seeds_take_little_time() -> None:
    rng = np.random.default_rng(5)
    targets, said = rng.integers(0, 10, 10_000), rng.integers(0, 10, (3, 10_000))
    started = time.process_time()
    s.mean_estimate(said == targets)
    s.macro_f1_estimate(targets, said, 10)
    s.calibration_estimate(rng.random((3, 10_000)), said == targets)
    s.compare(said == targets, np.roll(said, 1, axis=1) == targets)
    assert time.process_time() - started < 5


# The metrics inside, against torchmetrics.


@given(st.integers(0, 2**31), st.integers(2, 6), st.integers(1, 50))
@settings(max_examples=40, deadline=None)
def test_macro_f1_is_that_of_torchmetrics_also_where_classes_are_absent(seed: int, classes: int, examples: int) -> None:
    rng = np.random.default_rng(seed)
    # The last class never occurs among the targets.
    targets, said = rng.integers(0, classes - 1, examples), rng.integers(0, classes, examples)
    ours = s.macro_f1(targets, said, classes, np.ones((1, examples)))[0]
    theirs = multiclass_f1_score(torch.tensor(said), torch.tensor(targets), classes, average="macro")
    assert ours == pytest.approx(float(theirs), abs=1e-5)


def test_calibration_error_is_that_of_torchmetrics_also_at_full_confidence() -> None:
    rng = np.random.default_rng(6)
    logits = rng.normal(0, 3, (500, 4)).astype(np.float32)
    logits[:20, 0] = 200  # softmax is exactly 1 there
    probabilities = torch.softmax(torch.tensor(logits), dim=1)
    targets = rng.integers(0, 4, 500)
    sure, said = (t.numpy() for t in probabilities.max(dim=1))
    assert (sure == 1).sum() >= 20
    # The others of high confidence are right, those at 1 mostly not: in one range they would cancel.
    targets = np.where((sure > 0.9) & (sure < 1), said, targets)
    theirs = float(multiclass_calibration_error(probabilities, torch.tensor(targets), 4, n_bins=15))
    estimate = s.calibration_estimate(sure[None], (said == targets)[None].astype(float))
    assert estimate.value == pytest.approx(theirs, abs=1e-6)


def test_the_interval_of_a_metric_that_resampling_inflates_lies_around_its_estimate() -> None:
    # Of a calibrated model every resample looks less calibrated than the sample; unshifted, the estimate
    # would stand at the interval's lower end.
    rng = np.random.default_rng(12)
    sure = rng.uniform(0.3, 1, (1, 150))
    estimate = s.calibration_estimate(sure, rng.random((1, 150)) < sure)
    assert 0.3 < (estimate.value - estimate.low) / (estimate.high - estimate.low) < 0.7


def test_weights_count_examples_as_often_as_they_say() -> None:
    rng = np.random.default_rng(7)
    targets, said, sure = rng.integers(0, 3, 30), rng.integers(0, 3, 30), rng.random(30)
    weights = rng.integers(0, 4, 30)
    again = np.repeat(np.arange(30), weights)
    everyone = np.ones((1, len(again)))
    weighted = weights[None].astype(float)
    assert s.macro_f1(targets, said, 3, weighted) == pytest.approx(s.macro_f1(targets[again], said[again], 3, everyone))
    hits = (targets == said).astype(float)
    assert s.calibration_error(sure, hits, weighted) == pytest.approx(
        s.calibration_error(sure[again], hits[again], everyone)
    )


# Paired comparisons.


@pytest.mark.parametrize(
    ("wins", "losses", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 2 / 32), (6, 0, 2 / 64), (5, 1, 14 / 64), (3, 3, 1.0), (8, 2, 112 / 1024)],
)
def test_the_exact_p_is_that_of_the_sign_test_for_right_and_wrong(wins: int, losses: int, p: float) -> None:
    a = np.array([[1] * wins + [0] * losses + [1, 0, 1]])
    b = np.array([[0] * wins + [1] * losses + [1, 0, 1]])
    assert s.compare(a, b).p_value == pytest.approx(p)


@given(
    st.integers(1, 3).flatmap(
        lambda seeds: st.lists(st.tuples(st.integers(0, seeds), st.integers(0, seeds)), min_size=1, max_size=9).map(
            lambda pairs: (seeds, pairs)
        )
    )
)
@settings(max_examples=60, deadline=None)
def test_the_exact_p_is_the_share_of_all_signs(case: tuple[int, list[tuple[int, int]]]) -> None:
    seeds, pairs = case
    a, b = (np.array([[k < pair[side] for pair in pairs] for k in range(seeds)], float) for side in (0, 1))
    differences = list(a.mean(axis=0) - b.mean(axis=0))
    found = s.compare(a, b, resamples=20)
    assert found.p_value == pytest.approx(by_trying_all_signs(differences))


def test_sides_may_have_different_numbers_of_seeds() -> None:
    rng = np.random.default_rng(8)
    a, b = rng.integers(0, 2, (3, 8)), rng.integers(0, 2, (2, 8))
    differences = list(a.mean(axis=0) - b.mean(axis=0))
    assert s.compare(a, b).p_value == pytest.approx(by_trying_all_signs(differences))


def test_scores_that_are_no_counts_try_all_signs_where_few_and_random_ones_where_many() -> None:
    rng = np.random.default_rng(9)
    few = rng.normal(0.3, 1, 9)
    assert s.sign_flip_p(few) == pytest.approx(by_trying_all_signs(list(few)))
    many = rng.normal(0.15, 1, 200)
    # For many differences the signed sum is close to normal.
    z = many.sum() / math.sqrt((many**2).sum())
    assert s.sign_flip_p(many) == pytest.approx(math.erfc(abs(z) / math.sqrt(2)), abs=0.02)


def test_p_is_never_zero() -> None:
    assert s.sign_flip_p(np.full(60, 1.1)) == pytest.approx(1 / 10_001)
    assert 0 < s.compare(np.ones((1, 5000)), np.zeros((1, 5000))).p_value < 1e-300


def test_p_is_uniform_where_the_models_are_exchangeable() -> None:
    rng = np.random.default_rng(10)
    found = []
    for _ in range(400):
        hard = rng.normal(size=120)
        a, b = (hard + rng.normal(0, 0.8, (3, 120)) < 0.8 for _ in range(2))
        found.append(s.compare(a, b, resamples=2).p_value)
    for level in (0.05, 0.2, 0.5, 0.8):
        assert np.mean(np.array(found) <= level) == pytest.approx(level, abs=3.5 * math.sqrt(level * (1 - level) / 400))


@given(st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_turning_a_comparison_round_turns_its_signs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 2, (3, 50)), rng.integers(0, 2, (2, 50))
    there, back = s.compare(a, b, resamples=100), s.compare(b, a, resamples=100)
    assert back.p_value == pytest.approx(there.p_value)
    assert (back.difference, back.low, back.high) == pytest.approx((-there.difference, -there.high, -there.low))
    assert there.d is not None
    assert back.d == pytest.approx(-there.d)


def test_the_effect_size_is_the_mean_over_the_deviation_of_the_differences() -> None:
    a, b = np.array([[1, 1, 1, 0, 1]]), np.array([[0, 1, 0, 1, 0]])
    differences = np.array([1, 0, 1, -1, 1])
    assert s.compare(a, b).d == pytest.approx(differences.mean() / differences.std(ddof=1))
    assert s.compare(a, a).d == 0
    assert s.compare(np.ones((1, 4)), np.zeros((1, 4))).d is None


def test_the_interval_of_a_difference_is_paired() -> None:
    # Both are right on the same examples but for four: pairing must cancel what they share.
    rng = np.random.default_rng(11)
    a = (rng.random((1, 400)) < 0.6).astype(float)
    b = a.copy()
    b[0, np.flatnonzero(a[0])[:4]] = 0
    found = s.compare(a, b)
    assert 0 <= found.low <= 0.01 == found.difference <= found.high <= 0.025


# Ratios of sums, such as an F1 from counts.


def by_trying_all_exchanges(above: np.ndarray, under: np.ndarray) -> float:
    """The definition: how often models that exchange examples at will differ as much; arrays are [model example]."""

    def gap(first: np.ndarray) -> float:
        models = np.arange(above.shape[1])
        ratios = [
            above[which, models].sum() / under[which, models].sum() if under[which, models].sum() else 0.0
            for which in (first, 1 - first)
        ]
        return abs(ratios[0] - ratios[1])

    examples = above.shape[1]
    gaps = [gap(np.array(first)) for first in itertools.product((0, 1), repeat=examples)]
    return float(np.mean([one >= gap(np.zeros(examples, np.int64)) - 1e-9 for one in gaps]))


@pytest.mark.parametrize("seed", range(6))
def test_the_p_of_a_difference_of_ratios_is_the_share_of_all_exchanges(seed: int) -> None:
    rng = np.random.default_rng(seed)
    under = rng.integers(0, 5, (2, 9)).astype(float)
    above = np.floor(under * rng.random((2, 9)) * [[1.0], [1.4]]).clip(0, under)
    found = s.compare(above[0], above[1], weights=(under[0], under[1]), resamples=50)
    assert found.p_value == pytest.approx(by_trying_all_exchanges(above, under))
    assert found.difference == pytest.approx(above[0].sum() / under[0].sum() - above[1].sum() / under[1].sum())
    assert found.low <= found.difference <= found.high
    back = s.compare(above[1], above[0], weights=(under[1], under[0]), resamples=50)
    assert (back.difference, back.p_value) == pytest.approx((-found.difference, found.p_value))


def test_where_all_weigh_alike_ratios_compare_as_means_do() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 2, (2, 60)), rng.integers(0, 2, (3, 60)) * (rng.random(60) < 0.8)
    means = s.compare(left, right)
    for weight in (1.0, 2.0):
        weights = np.full((2, 60), weight), np.full((3, 60), weight)
        ratios = s.compare(left, right, weights=weights)
        assert ratios.difference == pytest.approx(means.difference / weight)
        assert ratios.p_value == pytest.approx(means.p_value, abs=4 * math.sqrt(means.p_value / 10_000) + 2e-4)
        assert (ratios.low * weight, ratios.high * weight) == pytest.approx((means.low, means.high), abs=0.02)


def test_models_without_a_difference_have_a_p_of_one() -> None:
    above, under = np.array([1.0, 0.0, 3.0, 0.0]), np.array([2.0, 0.0, 3.0, 1.0])
    found = s.compare(above, above, weights=(under, under))
    assert (found.difference, found.low, found.high, found.p_value) == (0, 0, 0, 1)
    # One that finds nothing where nothing is has a ratio of zero, and is no error.
    nothing = s.compare(above * 0, above, weights=(under * 0, under), resamples=50)
    assert nothing.difference == pytest.approx(-4 / 6)


def test_a_large_comparison_of_ratios_draws_exchanges_and_is_never_zero() -> None:
    under = np.ones((1, 200))
    under[0, 0] = 2
    found = s.compare(under, under * 0, weights=(under, under), resamples=20, permutations=500)
    assert found.p_value == 1 / 501


def test_a_ratio_is_its_sums_divided_for_every_resample_and_zero_over_nothing() -> None:
    ratio = s.Ratio(np.array([1.0, 2.0, 0.0]), np.array([2.0, 2.0, 0.0]))
    assert ratio(np.array([[1, 1, 1], [2, 0, 5], [0, 0, 3]], float)).tolist() == [3 / 4, 1 / 2, 0]
    found = s.estimate([ratio, s.Ratio(np.zeros(3), np.array([1.0, 1.0, 1.0]))], 3, resamples=200)
    assert found.per_seed == (3 / 4, 0)
    assert found.value == 3 / 8
    assert found.low <= found.value <= found.high
    means = s.estimate([s.Mean(np.array([0.0, 1.0, 1.0]))], 3, resamples=50)
    assert means == s.mean_estimate([[0, 1, 1]], resamples=50), "means keep their own interval"
    squared = s.estimate([s.Figure(lambda weights: ratio(weights) ** 2, (0.0, 0.6))], 3, resamples=50)
    assert squared.value == pytest.approx(9 / 16)
    assert squared.high <= 0.6


# Holm's correction.


@given(p_values)
def test_holm_is_never_below_the_raw_p_never_above_bonferroni_and_keeps_the_order(raw: list[float]) -> None:
    adjusted = s.holm(raw)
    for p, q in zip(raw, adjusted, strict=True):
        assert p <= q <= min(1.0, len(raw) * p)
    for i, j in itertools.combinations(range(len(raw)), 2):
        if raw[i] < raw[j]:
            assert adjusted[i] <= adjusted[j]


def test_holm_gives_the_textbook_values() -> None:
    assert s.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert s.holm([]) == []


def test_the_interval_of_a_share_ends_where_shares_do() -> None:
    rare = np.zeros(14)
    rare[:2] = 1.0
    share = s.Ratio(rare, np.full(14, 3.0))
    assert share.bounds == (0, 1)
    found = s.estimate([share], 14, resamples=300)
    assert 0 <= found.low <= found.value <= found.high <= 1
    often = s.estimate([s.Ratio(3 - rare, np.full(14, 3.0))], 14, resamples=300)
    assert 0 <= often.low <= often.value <= often.high <= 1
    # Words cost any number of nats.
    assert s.Ratio(np.array([9.0, 1.0]), np.ones(2)).bounds == (0, np.inf)
