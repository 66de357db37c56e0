"""Statistics of scores over data seeds, as pure functions on arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from irmbench.interface import Array

RESAMPLES = 2_000
LEVEL = 0.95


class Estimate(NamedTuple):
    """A mean and its percentile bootstrap interval at ``LEVEL``; n replicates."""

    mean: float
    low: float
    high: float
    n: int


def mean_interval(values: Array, seed: int = 0) -> Estimate:
    """Return the mean of replicates [n] and its percentile bootstrap interval (Efron 1979), of ``RESAMPLES`` resamples.

    Of a single replicate the interval is undefined: NaN.
    """
    n = len(values)
    if n < 2:
        return Estimate(float(values.mean()) if n else np.nan, np.nan, np.nan, n)
    resampled = values[np.random.default_rng(seed).integers(n, size=(RESAMPLES, n))].mean(1)
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(values.mean()), float(low), float(high), n)
