"""Statistics of scores over data seeds, as pure functions on arrays: aggregates, intervals, profiles.

A replicate is a data seed. Scores of a stratum are an array [S, K] of S seeds by the K datasets that ran on them; a
resample draws seeds within every stratum, and takes all K scores of a seed it draws: datasets of one seed share random
draws, and variants of one structural model may even have the same score. Strata of one dataset each are the stratified
bootstrap of Agarwal et al. 2021 (arXiv 2108.13264), which assumes that datasets are independent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from irmbench.interface import Array

RESAMPLES = 2_000
LEVEL = 0.95
QUANTILES = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
BLOCK = 2**22  # scores that are resampled at a time

Statistic = Callable[[Array], Array]  # scores [..., n] to their aggregates [...]


class Estimate(NamedTuple):
    """A mean and its percentile bootstrap interval at ``LEVEL``; n replicates."""

    mean: float
    low: float
    high: float
    n: int


class Interval(NamedTuple):
    """An aggregate and its percentile bootstrap interval at ``LEVEL``."""

    value: float
    low: float
    high: float


def mean_interval(values: Array, seed: int = 0) -> Estimate:
    """Return the mean of replicates [n] and its percentile bootstrap interval (Efron 1979), of ``RESAMPLES`` resamples.

    Of a single replicate the interval is undefined: NaN.
    """
    n = len(values)
    if n < 2:
        return Estimate(float(values.mean()) if n else np.nan, np.nan, np.nan, n)
    rng = np.random.default_rng(seed)
    resampled = np.concatenate([values[rng.integers(n, size=(times, n))].mean(1) for times in _blocks(n)])
    low, high = np.quantile(resampled, QUANTILES)
    return Estimate(float(values.mean()), float(low), float(high), n)


def mean(scores: Array) -> Array:
    """Return the means of scores [..., n], [...]."""
    return np.asarray(np.mean(scores, axis=-1))


def median(scores: Array) -> Array:
    """Return the medians of scores [..., n], [...]."""
    return _middle(scores, (scores.shape[-1] - 1) // 2)


def iqm(scores: Array) -> Array:
    """Return the interquartile means of scores [..., n], [...]: without the lowest and the highest n // 4."""
    return _middle(scores, scores.shape[-1] // 4)


def _middle(scores: Array, cut: int) -> Array:
    """Return the means of scores [..., n] without so many of the lowest and of the highest, [...]."""
    # NumPy sorts several times as fast as it partitions, as its median and SciPy's trimmed mean do.
    return np.asarray(np.sort(scores, axis=-1)[..., cut : scores.shape[-1] - cut].mean(-1))


def geometric_mean(scores: Array) -> Array:
    """Return the geometric means of scores [..., n] that are not negative, [...]: for errors on a log scale."""
    return np.asarray(stats.gmean(scores, axis=-1))


def stratified_interval(strata: Sequence[Array], statistic: Statistic, seed: int = 0) -> Interval:
    """Return a statistic of all scores of strata [S, K], and its percentile bootstrap interval.

    Scores may be infinite, not NaN. Without scores all is NaN; the interval is NaN if a stratum has a single seed. It
    has no width where no resample differs, as of runs that all won, however few they are.
    """
    if not strata:
        return Interval(np.nan, np.nan, np.nan)
    value = float(statistic(np.concatenate([stratum.ravel() for stratum in strata])))
    if min(map(len, strata)) < 2:
        return Interval(value, np.nan, np.nan)
    rng = np.random.default_rng(seed)
    blocks = _blocks(sum(stratum.size for stratum in strata))
    resampled = np.concatenate([statistic(_resample(strata, times, rng)) for times in blocks])
    # A resample's own value, not one between two of them: one of the two may be infinite.
    low, high = np.quantile(resampled, QUANTILES, method="inverted_cdf")
    return Interval(value, float(low), float(high))


def _blocks(scores: int) -> list[int]:
    """Return how many resamples of so many scores to make at a time, to have ``RESAMPLES``."""
    return [len(block) for block in np.array_split(np.arange(RESAMPLES), 1 + RESAMPLES * scores // BLOCK)]


def _resample(strata: Sequence[Array], times: int, rng: np.random.Generator) -> Array:
    """Return the scores of resamples, [times, n]."""
    drawn = [stratum.take(rng.integers(len(stratum), size=(times, len(stratum))), axis=0) for stratum in strata]
    return np.concatenate([scores.reshape(times, -1) for scores in drawn], axis=1)


def strata(scores: Array) -> list[Array]:
    """Return scores [S, K] without the NaN, as one array for all datasets that have scores of the same seeds."""
    there = ~np.isnan(scores.T)
    return [scores[np.ix_(seeds, (there == seeds).all(1))] for seeds in np.unique(there, axis=0) if seeds.any()]


def median_interval(values: Array, seed: int = 0) -> Interval:
    """Return the median of replicates [n] and its percentile bootstrap interval."""
    return stratified_interval(strata(values[:, None]), median, seed)


def wins(scores: Array, others: Array) -> Array:
    """Return 1 where a score is smaller than the other one, 0.5 where they tie, 0 where it is larger; of NaN, NaN.

    Of runs on the same data, the mean is the probability of improvement (Agarwal et al. 2021, section 4.3, there of
    runs that are not paired).
    """
    won = 0.5 * (scores < others) + 0.5 * (scores <= others)
    return np.where(np.isnan(scores) | np.isnan(others), np.nan, won)


def performance_profile(scores: Array, thresholds: Array) -> Array:
    """Return the fraction of scores [n] at or below every threshold [T], [T]; without scores NaN.

    Of ratios to the best method's score it is Dolan and Moré's profile (2002), of scores Agarwal et al.'s (2021).
    """
    if not len(scores):
        return np.full(len(thresholds), np.nan)
    return np.searchsorted(np.sort(scores), thresholds, side="right") / len(scores)
