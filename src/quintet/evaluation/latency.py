"""How long an answer takes."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

_FEWEST = 20


def latency(run: Callable[[], object], batch: int, seconds: float) -> dict[str, float]:
    """Time `run`, which answers a batch of `batch` examples, for about `seconds` and at least 20 times.

    Returns p50 and p99 in milliseconds and samples per second, after a few runs that are not counted:
    the first ones pick kernels and fill caches.
    """
    for _ in range(3):
        run()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < _FEWEST or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    p50, p99 = np.percentile(times, [50, 99]) * 1000
    return {"p50": float(p50), "p99": float(p99), "samples_per_second": float(batch / np.mean(times))}
