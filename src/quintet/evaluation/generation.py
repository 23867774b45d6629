"""How near made images are to real ones, from features [image feature] of both.

The features come from a network that the caller names, so these distances compare models within one report and never
with published figures, which are those of one particular network (Inception v3) on other preparations of the images.

Two readings belong beside each distance: the *floor*, which is real images against other real ones, and the
*ceiling*, which is noise against real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quintet.evaluation.statistics import LEVEL, Estimate

Floats = NDArray[np.float64]
# (rows of real, rows of made) to a figure; the rows are those of one resample.
RowMetric = Callable[[NDArray[np.int64], NDArray[np.int64]], float]

NEIGHBOURS = 5


def frechet_distance(real: ArrayLike, made: ArrayLike) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), of means and covariances (Heusel et al. 2017, eq. 6: FID).

    Squared units of the features. Biased upwards for few images, by about the number of features over that of images:
    compare figures of equally many.
    """
    (mean1, root1), (mean2, root2) = _moments(_features(real)), _moments(_features(made))
    # tr (S1 S2)^(1/2) is the nuclear norm of S1^(1/2) S2^(1/2), which needs no root of a product that is not symmetric.
    cross = np.linalg.svd(root1 @ root2, compute_uv=False).sum()
    distance = np.square(mean1 - mean2).sum() + np.square(root1).sum() + np.square(root2).sum() - 2 * cross
    return max(0.0, float(distance))


def _moments(features: Floats) -> tuple[Floats, Floats]:
    """Mean, and the symmetric root of the covariance."""
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(features, rowvar=False)))
    return features.mean(0), (vectors * np.sqrt(values.clip(0))) @ vectors.T


def kernel_distance(real: ArrayLike, made: ArrayLike) -> float:
    """The squared maximum mean discrepancy with kernel (x.y / d + 1)^3, unbiased (Binkowski et al. 2018, sec. 4.1:
    KID).

    Zero on average where both come from one distribution, so it can be negative.
    """
    x, y = _features(real), _features(made)
    return _discrepancy(_kernel(x, x), _kernel(y, y), _kernel(x, y))


def _kernel(x: Floats, y: Floats) -> Floats:
    return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)


def _discrepancy(xx: Floats, yy: Floats, xy: Floats) -> float:
    def mean_of_pairs(kernel: Floats) -> float:
        return float((kernel.sum() - np.trace(kernel)) / (len(kernel) * (len(kernel) - 1)))

    return mean_of_pairs(xx) + mean_of_pairs(yy) - 2 * float(xy.mean())


@dataclass(frozen=True)
class Manifolds:
    """Who lies within whose k nearest neighbours; the figures are means of these, so examples can be resampled.

    precise     [made] 1 where a made image lies within the neighbourhood of a real one (Kynkäänniemi et al. 2019, eq.
    1) recalled    [real] 1 where a real image lies within the neighbourhood of a made one (likewise) density
    [made] how many real neighbourhoods hold it, over k; can exceed 1 (Naeem et al. 2020, eq. 5) covered     [real] 1
    where a made image lies within its neighbourhood (likewise, eq. 6)
    """

    precise: Floats
    recalled: Floats
    density: Floats
    covered: Floats


def manifolds(real: ArrayLike, made: ArrayLike, k: int = NEIGHBOURS) -> Manifolds:
    """Precision, recall, density and coverage, image by image; `k` is the paper's number of neighbours."""
    x, y = _features(real), _features(made)
    between = distances(x, y)
    around_real, around_made = _radii(x, k), _radii(y, k)
    in_real = between <= around_real[:, None]
    return Manifolds(
        precise=np.asarray(in_real.any(0), np.float64),
        recalled=np.asarray((between <= around_made).any(1), np.float64),
        density=in_real.sum(0) / k,
        covered=(between.min(1) <= around_real).astype(np.float64),
    )


def _radii(features: Floats, k: int) -> Floats:
    """The distance of each row to its k-th nearest other row."""
    assert len(features) > k, f"{len(features)} images have no {k} neighbours"
    return np.asarray(np.partition(distances(features, features), k, axis=1)[:, k])


def distances(x: Floats, y: Floats) -> Floats:
    """Euclidean distances [row of x, row of y]."""
    squares = np.square(x).sum(1)[:, None] + np.square(y).sum(1) - 2 * x @ y.T
    return np.asarray(np.sqrt(squares.clip(0)))


@dataclass(frozen=True)
class Neighbours:
    """For each image its nearest training example: row and distance."""

    row: NDArray[np.int64]
    distance: Floats


def nearest(images: ArrayLike, train: ArrayLike) -> Neighbours:
    """The nearest training example of each image, both as pixels or features [image ...]."""
    found = distances(_features(images), _features(train))
    row = found.argmin(1)
    return Neighbours(row, found[np.arange(len(row)), row])


def copied(made: Neighbours, test: Neighbours, share: float = 0.01) -> Floats:
    """1 for each made image that lies closer to a training example than all but `share` of the test examples do.

    A generator that draws from the distribution, as the test split was drawn, has a mean of `share`; one that recites
    the training split has 1.
    """
    return np.asarray(made.distance < np.quantile(test.distance, share), np.float64)


def classifier_score(probabilities: ArrayLike) -> float:
    """exp E KL(p(y|x) || p(y)), from class probabilities [image class] (Salimans et al. 2016, sec. 4: Inception score).

    From 1 to the number of classes, which it reaches where each image is of one class and all classes are equally
    frequent.
    """
    p = np.asarray(probabilities, np.float64)
    logs = np.log(p.clip(1e-12)) - np.log(p.mean(0).clip(1e-12))
    return float(np.exp((p * logs).sum(1).mean()))


def class_entropy(classes: ArrayLike, num_classes: int) -> float:
    """How evenly made images spread over the classes: 1 for all alike, 0 where there is one class only."""
    counts = np.bincount(np.asarray(classes, np.int64), minlength=num_classes)
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum() / np.log(num_classes)) if num_classes > 1 else 1.0


def frechet_estimate(
    real: ArrayLike, made: Sequence[ArrayLike], *, resamples: int, level: float = LEVEL, seed: int = 0
) -> Estimate:
    """The Fréchet distance averaged over seeds, each of which made one array of `made`, with its interval."""
    x = _features(real)
    ys = [_features(y) for y in made]

    def metric(index: int) -> RowMetric:
        return lambda rows, its: frechet_distance(x[rows], ys[index][its])

    return _row_estimate([metric(i) for i in range(len(ys))], len(x), [len(y) for y in ys], resamples, level, seed)


def kernel_estimate(
    real: ArrayLike, made: Sequence[ArrayLike], *, resamples: int, level: float = LEVEL, seed: int = 0
) -> Estimate:
    """The kernel distance averaged over seeds, likewise."""
    x = _features(real)
    ys = [_features(y) for y in made]
    xx = _kernel(x, x)

    def metric(index: int) -> RowMetric:
        yy, xy = _kernel(ys[index], ys[index]), _kernel(x, ys[index])
        return lambda rows, its: _discrepancy(xx[np.ix_(rows, rows)], yy[np.ix_(its, its)], xy[np.ix_(rows, its)])

    return _row_estimate([metric(i) for i in range(len(ys))], len(x), [len(y) for y in ys], resamples, level, seed)


def _row_estimate(
    metrics: list[RowMetric], reals: int, made: list[int], resamples: int, level: float, seed: int
) -> Estimate:
    """Real images (the same for all seeds), made images and seeds are drawn again, each with replacement.

    Both distances grow where images stand twice, so the quantiles are shifted by the mean growth, as
    `statistics.metric_estimate` does.
    """
    rng = np.random.default_rng(seed)
    values = [metric(np.arange(reals), np.arange(n)) for metric, n in zip(metrics, made, strict=True)]
    drawn = np.empty((resamples, len(metrics)))
    for resample in range(resamples):
        rows = rng.integers(0, reals, reals)
        for index, (metric, n) in enumerate(zip(metrics, made, strict=True)):
            drawn[resample, index] = metric(rows, rng.integers(0, n, n))
    growth = drawn.mean(0) - values
    of_seed = rng.multinomial(len(metrics), np.full(len(metrics), 1 / len(metrics)), size=resamples) / len(metrics)
    draws = ((drawn - growth) * of_seed).sum(1)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    value = float(np.mean(values))
    return Estimate(value, min(value, float(low)), max(value, float(high)), tuple(values))


def _features(rows: ArrayLike) -> Floats:
    table = np.asarray(rows, np.float64)
    table = table.reshape(len(table), -1)
    assert np.isfinite(table).all(), "features are finite"
    return table
