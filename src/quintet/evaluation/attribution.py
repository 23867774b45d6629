"""Which parts of an input drove a network's answer.

Integrated gradients (Sundararajan, Taly, Yan 2017, "Axiomatic Attribution for Deep Networks", eq. 1): the gradient of
the answer's logit, averaged along the straight line from a baseline to the input, times their difference. Scores add up
to what the answer gained between the two (their "completeness", proposition 1), which tells how exact the average is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

# The line is divided more finely until the scores account for all but this share of the gain, or MOST steps are taken.
STEPS, MOST, TOLERANCE = 16, 256, 0.05
# A logit that gains less than this has nothing to be told of; the share would be that of rounding.
_LEAST = 0.1


class Attribution(NamedTuple):
    """`scores` add up to about `gain`, the value at the input less that at the baseline."""

    scores: Float[Tensor, " time"]
    gain: float
    steps: int

    @property
    def gap(self) -> float:
        """What the scores do not account for."""
        return abs(float(self.scores.sum()) - self.gain)

    @property
    def complete(self) -> bool:
        """Whether the scores account for the gain, or the value bends too sharply on the way for MOST steps."""
        return self.gap <= TOLERANCE * max(abs(self.gain), _LEAST)


def integrated_gradients(
    value: Callable[[Float[Tensor, "step time feature"]], Float[Tensor, " step"]],
    vectors: Float[Tensor, "time feature"],
    baseline: Float[Tensor, "time feature"],
) -> Attribution:
    """How much each of `vectors` adds to `value`, compared with its counterpart in `baseline`.

    The average is Gauss's rule, exact for polynomials; a network with kinks (ReLU, maxima) needs more steps.
    """
    steps, difference = STEPS, vectors - baseline
    with torch.no_grad():
        start, end = value(torch.stack([baseline, vectors])).double().tolist()
    while True:
        places, shares = np.polynomial.legendre.leggauss(steps)
        at = torch.from_numpy((places + 1) / 2).to(vectors)[:, None, None]
        line = (baseline + at * difference).requires_grad_()
        (gradients,) = torch.autograd.grad(value(line).sum(), line)
        mean = (torch.from_numpy(shares / 2).to(vectors)[:, None, None] * gradients).sum(0)
        found = Attribution((mean * difference).sum(-1).detach(), end - start, steps)
        if found.complete or steps >= MOST:
            return found
        steps *= 2
