"""How near made images are to real ones, from features [image feature] of both.

The features come from a network that the caller names, so these distances compare models within one report and never
with published figures, which are those of one particular network (Inception v3) on other preparations of the images.

Two readings belong beside each distance: the *floor*, which is real images against other real ones, and the
*ceiling*, which is noise against real ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

NEIGHBOURS = 5
# So many training examples are compared with at once.
_BLOCK = 4096


class FrechetDistance:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), of means and covariances (Heusel et al. 2017, eq. 6: FID).

    Squared units of the features. Biased upwards for few images, by about the number of features over that of images:
    compare figures of equally many.
    """

    def __init__(self, real: ArrayLike, made: ArrayLike) -> None:
        self.real, self.made = _features(real), _features(made)
        assert self.real.shape == self.made.shape, "a row is a pair of a real and a made image"

    def __call__(self, weights: Floats) -> Floats:
        """One distance for each row of `weights` [resample pair]."""
        return self.between(weights, weights)

    def between(self, of_real: Floats, of_made: Floats) -> Floats:
        """Likewise with weights of their own, for where not all images are compared with all."""
        pairs = ((self.real, of_real), (self.made, of_made))
        (mean1, root1), (mean2, root2) = (_moments(features, weights) for features, weights in pairs)
        # tr (S1 S2)^(1/2) is the nuclear norm of S1^(1/2) S2^(1/2), which needs no root of an asymmetric product.
        cross = np.linalg.svd(root1 @ root2, compute_uv=False).sum(-1)
        spread = np.square(root1).sum((1, 2)) + np.square(root2).sum((1, 2))
        return np.asarray((np.square(mean1 - mean2).sum(1) + spread - 2 * cross).clip(0))


def _moments(features: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """For each row of weights the mean [resample feature] and the symmetric root of the covariance."""
    count = weights.sum(1)[:, None]
    mean = weights @ features / count
    products = (features[:, :, None] * features[:, None, :]).reshape(len(features), -1)
    second = (weights @ products).reshape(-1, features.shape[1], features.shape[1]) / count[:, :, None]
    covariance = (second - mean[:, :, None] * mean[:, None, :]) * (count / (count - 1))[:, :, None]
    values, vectors = np.linalg.eigh(covariance)
    return mean, (vectors * np.sqrt(values.clip(0))[:, None, :]) @ vectors.transpose(0, 2, 1)


def frechet_distance(real: ArrayLike, made: ArrayLike) -> float:
    """The same between all images of both, of which there may be different numbers."""
    x, y = _features(real), _features(made)
    (mean1, root1), (mean2, root2) = (_moments(features, np.ones((1, len(features)))) for features in (x, y))
    cross = np.linalg.svd(root1 @ root2, compute_uv=False).sum()
    distance = np.square(mean1 - mean2).sum() + np.square(root1).sum() + np.square(root2).sum() - 2 * cross
    return max(0.0, float(distance))


class LinearFrechetDistance:
    """The same for many features, where it can not be computed anew for each resample: to first order in the weights.

    That is the infinitesimal jackknife (Jaeckel 1972; Efron 1982, ch. 6), and exact where every weight is one.
    With A, B the centred features over the root of n - 1, tr (S1 S2)^(1/2) is the sum of the singular values s of
    A B^T = U s V^T, whose slope in the weight of pair i is half the sum over k of s_k (U_ik^2 + V_ik^2).
    """

    def __init__(self, real: ArrayLike, made: ArrayLike) -> None:
        x, y = _features(real), _features(made)
        count = len(x)
        between = x.mean(0) - y.mean(0)
        x, y = x - x.mean(0), y - y.mean(0)
        left, values, right = np.linalg.svd(x @ y.T / (count - 1))
        spread = (np.square(x).sum(1) + np.square(y).sum(1)) / (count - 1)
        self.value = float(np.square(between).sum() + spread.sum() - 2 * values.sum())
        cross = 0.5 * (np.square(left) @ values + np.square(right.T) @ values)
        self.slopes = 2 * (x - y) @ between / count + spread - 2 * cross

    def __call__(self, weights: Floats) -> Floats:
        """One distance for each row of `weights` [resample pair], which sum to the number of pairs."""
        return np.asarray((self.value + (weights - 1) @ self.slopes).clip(0))


class KernelDistance:
    """The squared maximum mean discrepancy with kernel (x.y / d + 1)^3, unbiased (Binkowski et al. 2018, 4.1: KID).

    Zero on average where both come from one distribution, so it can be negative.
    """

    def __init__(self, real: ArrayLike, made: ArrayLike) -> None:
        x, y = _features(real), _features(made)
        self.xx, self.yy, self.xy = _kernel(x, x), _kernel(y, y), _kernel(x, y)

    def __call__(self, weights: Floats) -> Floats:
        """One distance for each row of `weights` [resample pair]."""
        count = weights.sum(1)

        def mean_of_pairs(kernel: Floats) -> Floats:
            total = ((weights @ kernel) * weights).sum(1) - weights @ np.diag(kernel)
            return np.asarray(total / (count * (count - 1)))

        across = ((weights @ self.xy) * weights).sum(1) / count**2
        return np.asarray(mean_of_pairs(self.xx) + mean_of_pairs(self.yy) - 2 * across)


def _kernel(x: Floats, y: Floats) -> Floats:
    return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)


def kernel_distance(real: ArrayLike, made: ArrayLike) -> float:
    """The same between all images of both; there must be equally many."""
    found = KernelDistance(real, made)
    return float(found(np.ones((1, len(found.xx))))[0])


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


def nearest(images: NDArray[Any], train: NDArray[Any]) -> Neighbours:
    """The nearest training example of each image, both as pixels or features [image ...].

    In blocks of training examples, since there may be many, and in single precision.
    """
    x, y = (np.asarray(rows, np.float32).reshape(len(rows), -1) for rows in (images, train))
    squares, row = np.full(len(x), np.inf, np.float32), np.zeros(len(x), np.int64)
    for start in range(0, len(y), _BLOCK):
        block = y[start : start + _BLOCK]
        found = np.square(block).sum(1) - 2 * x @ block.T
        best = found.argmin(1)
        least = found[np.arange(len(x)), best]
        row = np.where(least < squares, start + best, row)
        squares = np.minimum(squares, least)
    return Neighbours(row, np.linalg.norm(np.asarray(x - y[row], np.float64), axis=1))


def copied(made: Neighbours, test: Neighbours, share: float = 0.01) -> Floats:
    """1 for each made image that lies closer to a training example than all but `share` of the test examples do.

    A generator that draws from the distribution, as the test split was drawn, has a mean of `share`; one that recites
    the training split has 1.
    """
    return np.asarray(made.distance < np.quantile(test.distance, share), np.float64)


def classifier_scores(probabilities: ArrayLike, weights: Floats) -> Floats:
    """exp E KL(p(y|x) || p(y)), from class probabilities [image class] (Salimans et al. 2016, sec. 4: Inception score).

    From 1 to the number of classes, which it reaches where each image is of one class and all classes are equally
    frequent.
    """
    p = np.asarray(probabilities, np.float64).clip(1e-12)
    share = weights / weights.sum(1, keepdims=True)
    mean = share @ p
    return np.asarray(np.exp(share @ (p * np.log(p)).sum(1) - (mean * np.log(mean)).sum(1)))


def _features(rows: ArrayLike) -> Floats:
    table = np.asarray(rows, np.float64)
    table = table.reshape(len(table), -1)
    assert np.isfinite(table).all(), "features are finite"
    return table
