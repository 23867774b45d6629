"""Distances between made and real images: known values, properties, and intervals that cover."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from quintet.evaluation.statistics import Figure, estimate
from quintet.tasks.generation.distances import (
    FrechetDistance,
    KernelDistance,
    LinearFrechetDistance,
    Neighbours,
    classifier_scores,
    copied,
    frechet_distance,
    kernel_distance,
    manifolds,
    nearest,
)

RNG = np.random.default_rng


def gaussian(count: int, dims: int = 4, mean: float = 0.0, deviation: float = 1.0, seed: int = 0) -> np.ndarray:
    return mean + deviation * RNG(seed).standard_normal((count, dims))


def with_moments(mean: np.ndarray, covariance: np.ndarray, count: int = 50) -> np.ndarray:
    """Rows whose mean and covariance are exactly the given ones."""
    rows = RNG(1).standard_normal((count, len(mean)))
    rows -= rows.mean(0)
    whitened = rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows, rowvar=False))).T
    return mean + whitened @ np.linalg.cholesky(covariance).T


class TestFrechetDistance:
    def test_is_the_formula_with_scipys_matrix_root(self):
        real, made = RNG(0).random((40, 5)) @ RNG(1).random((5, 5)), RNG(2).random((30, 5))
        s1, s2 = np.cov(real, rowvar=False), np.cov(made, rowvar=False)
        root = scipy.linalg.sqrtm(s1 @ s2).real
        expected = np.square(real.mean(0) - made.mean(0)).sum() + np.trace(s1 + s2 - 2 * root)
        assert frechet_distance(real, made) == pytest.approx(expected, rel=1e-8)

    def test_of_two_round_gaussians_is_known(self):
        """|m1 - m2|^2 + d (s1 - s2)^2."""
        eye = np.eye(3)
        real, made = with_moments(np.zeros(3), 4 * eye), with_moments(np.array([1.0, 2.0, 2.0]), 9 * eye)
        assert frechet_distance(real, made) == pytest.approx(9 + 3 * 1)

    def test_of_images_with_themselves_is_nothing(self):
        # More features than images: covariances are singular, which breaks naive matrix roots.
        images = RNG(0).random((6, 20))
        assert frechet_distance(images, images) == pytest.approx(0, abs=1e-6)

    def test_does_not_depend_on_which_is_which(self):
        a, b = gaussian(30), gaussian(30, mean=1, seed=1)
        assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))


class TestKernelDistance:
    def test_is_the_mean_over_pairs_that_are_two(self):
        real, made = gaussian(5), gaussian(5, seed=1)

        def k(a, b):
            return (a @ b / 4 + 1) ** 3

        def pairs(x):
            return np.mean([k(x[i], x[j]) for i in range(len(x)) for j in range(len(x)) if i != j])

        across = np.mean([k(a, b) for a in real for b in made])
        assert kernel_distance(real, made) == pytest.approx(pairs(real) + pairs(made) - 2 * across)

    def test_is_zero_on_average_for_one_distribution_even_for_few_images(self):
        found = [kernel_distance(gaussian(10, seed=2 * s), gaussian(10, seed=2 * s + 1)) for s in range(400)]
        assert abs(np.mean(found)) < 3 * np.std(found) / 20
        assert min(found) < 0

    def test_grows_with_the_distance(self):
        real = gaussian(60)
        near, far = (kernel_distance(real, gaussian(60, mean=m, seed=1)) for m in (0.5, 2.0))
        assert 0 < near < far


class TestManifolds:
    def test_one_distribution_is_precise_and_recalled(self):
        found = manifolds(gaussian(300, 2), gaussian(300, 2, seed=1))
        for rows in (found.precise, found.recalled, found.covered):
            assert rows.mean() > 0.9
        assert found.density.mean() == pytest.approx(1, abs=0.1)

    def test_a_collapsed_generator_is_precise_and_recalls_little(self):
        found = manifolds(gaussian(300, 2), gaussian(300, 2, deviation=0.05, seed=1))
        assert found.precise.mean() > 0.95
        assert found.recalled.mean() < 0.1
        assert found.covered.mean() < 0.1

    def test_a_far_too_wide_generator_recalls_and_is_not_precise(self):
        found = manifolds(gaussian(300, 2), gaussian(300, 2, deviation=20, seed=1))
        assert found.precise.mean() < 0.2
        assert found.recalled.mean() > 0.9

    def test_counts_by_hand(self):
        """Real images at 0, 1, 3 with the nearest neighbour at 1, 1, 2; made ones at 0.5, 4.5, 9."""
        found = manifolds([[0.0], [1.0], [3.0]], [[0.5], [4.5], [9.0]], k=1)
        assert found.precise.tolist() == [1, 1, 0]
        assert found.density.tolist() == [2, 1, 0]
        assert found.covered.tolist() == [1, 1, 1]
        # Made radii are 4, 4 and 4.5.
        assert found.recalled.tolist() == [1, 1, 1]
        lonely = manifolds([[0.0], [1.0], [30.0]], [[0.5], [0.6], [0.7]], k=1)
        assert lonely.recalled.tolist() == [0, 0, 0]

    def test_too_few_images_are_our_mistake(self):
        with pytest.raises(AssertionError, match="3 images have no 5 neighbours"):
            manifolds(gaussian(3), gaussian(9))


class TestMemory:
    def test_nearest_names_the_training_example(self):
        train = gaussian(50)
        found = nearest(train[[7, 3]] + 1e-3, train)
        assert found.row.tolist() == [7, 3]
        assert found.distance == pytest.approx([2e-3, 2e-3], abs=1e-4)

    def test_nearest_looks_through_all_blocks(self, monkeypatch):
        monkeypatch.setattr("quintet.tasks.generation.distances._BLOCK", 7)
        train = gaussian(50)
        found = nearest(train[::-1] + 1e-4, train)
        assert found.row.tolist() == list(range(49, -1, -1))

    def test_recited_images_are_found_and_new_ones_are_not(self):
        train, test, fresh = gaussian(200), gaussian(200, seed=1), gaussian(200, seed=2)
        beside = nearest(test, train)
        assert copied(nearest(train[:50] + 1e-6, train), beside).mean() == 1
        assert copied(nearest(fresh, train), beside).mean() < 0.05

    def test_the_share_is_that_of_test_examples_which_lie_as_close(self):
        test = Neighbours(np.zeros(1000, np.int64), np.linspace(1, 2, 1000))
        assert copied(test, test, share=0.1).mean() == pytest.approx(0.1, abs=1e-3)


def test_the_classifier_score_runs_from_one_to_the_number_of_classes():
    def score(probabilities):
        return classifier_scores(probabilities, np.ones((1, len(probabilities))))[0]

    assert score(np.full((20, 4), 0.25)) == pytest.approx(1)
    assert score(np.tile(np.eye(4)[:1], (20, 1))) == pytest.approx(1)
    assert score(np.tile(np.eye(4), (5, 1))) == pytest.approx(4)


class TestIntervals:
    """A row is a pair of a real and a made image, so weights resample both."""

    def test_weights_count_pairs_again(self):
        real, made = gaussian(12, 3), gaussian(12, 3, mean=1, seed=1)
        weights = RNG(3).integers(0, 3, (4, 12)).astype(np.float64)
        found = FrechetDistance(real, made)(weights)
        for row, value in zip(weights.astype(int), found, strict=True):
            expected = frechet_distance(real.repeat(row, axis=0), made.repeat(row, axis=0))
            assert value == pytest.approx(expected, rel=1e-6)

    @pytest.mark.parametrize(("distance", "truth"), [(FrechetDistance, 3.0), (KernelDistance, None)])
    def test_hold_the_truth_and_narrow_with_more_images(self, distance, truth):
        widths = []
        for count in (40, 640):
            measure = Figure(distance(gaussian(count, 3), gaussian(count, 3, mean=1, seed=1)))
            found = estimate([measure], count, resamples=60)
            assert found.low <= found.value <= found.high
            if truth is not None:
                assert found.low < truth < found.high
            widths.append(found.high - found.low)
        assert widths[1] < 0.6 * widths[0]

    def test_to_first_order_are_those_of_the_distance_itself(self):
        real, made = gaussian(200, 4), gaussian(200, 4, mean=1, deviation=1.5, seed=1)
        exact, linear = (
            estimate([Figure(d(real, made))], 200, resamples=300) for d in (FrechetDistance, LinearFrechetDistance)
        )
        assert linear.value == pytest.approx(exact.value, rel=1e-8)
        assert linear.low == pytest.approx(exact.low, abs=0.1 * (exact.high - exact.low))
        assert linear.high == pytest.approx(exact.high, abs=0.1 * (exact.high - exact.low))

    def test_to_first_order_hold_for_more_features_than_images(self):
        real, made = gaussian(12, 40), gaussian(12, 40, mean=1, seed=1)
        found = LinearFrechetDistance(real, made)
        assert found.value == pytest.approx(frechet_distance(real, made))
        weights = np.ones((2, 12))
        weights[:, 3], weights[:, 5] = [1.001, 0.999], [0.999, 1.001]
        steps = FrechetDistance(real, made)(weights)
        slope = (found.slopes[3] - found.slopes[5]) * 0.002
        assert found(weights)[0] - found(weights)[1] == pytest.approx(slope)
        assert steps[0] - steps[1] == pytest.approx(slope, rel=0.01)

    def test_are_not_shifted_by_images_that_stand_twice(self):
        """A resample has about two thirds of the images, which alone would lift both distances."""
        measure = Figure(KernelDistance(gaussian(60, 10), gaussian(60, 10, seed=1)))
        found = estimate([measure], 60, resamples=60)
        assert found.low < 0 < found.high
