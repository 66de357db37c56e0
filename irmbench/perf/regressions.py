"""Whether one kernel is slower than another: decisions on paired timings, as pure functions on arrays.

Timings are `[processes, pairs]`: entry (p, i) of two arms was measured in round i of process p, one right after the
other, so their ratio is free of what both suffer. Processes differ by more than rounds do (memory layout, clock rate),
hence the bootstrap in two levels and the rule: statistics of single arms, and intervals over pooled rounds, call
identical code slower in a good part of all comparisons.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Verdict = Literal["regressed", "improved", "ok", "inconclusive"]

LEVEL = 0.99
RESAMPLES = 2_000
SMALLEST = 0.03  # a change below it is nobody's concern, however well it is resolved


class Ratio(NamedTuple):
    """A median of ratios and its interval at ``LEVEL``."""

    median: float
    low: float
    high: float


def paired_logs(numerator: Array, denominator: Array) -> Array:
    """Return the logs of the ratios within pairs: two `[processes, pairs]` -> `[processes, pairs]`.

    Raises ValueError for arms that do not pair, that hold nothing, or with a timing that is not positive.
    """
    if numerator.shape != denominator.shape or numerator.ndim != 2 or not numerator.size:
        raise ValueError(f"timings do not pair: {numerator.shape} and {denominator.shape}, not [processes, pairs]")
    if not (np.all(numerator > 0) and np.all(denominator > 0)):
        raise ValueError("a timing is not positive: the clock does not resolve the block")
    return np.log(numerator) - np.log(denominator)


def ratio(numerator: Array, denominator: Array, seed: int = 0) -> Ratio:
    """Return the median of the ratios within pairs, taken in logs: two `[processes, pairs]`.

    The interval is the percentile interval of a hierarchical bootstrap: processes are drawn with replacement, then
    pairs within each of them.
    """
    logs = paired_logs(numerator, denominator)
    return _ratio(float(np.median(logs)), _resampled_medians(logs, np.random.default_rng(seed)))


def ratio_between(head: Array, base: Array, seed: int = 0) -> Ratio:
    """Return the ratio of two records that do not pair: `[processes, pairs]` each, any sizes, both logs.

    Each holds its own paired logs over a common third arm, so what disturbed one record as a whole cancels in it.
    """
    generator = np.random.default_rng(seed)
    medians = _resampled_medians(head, generator) - _resampled_medians(base, generator)
    return _ratio(float(np.median(head) - np.median(base)), medians)


def tolerance(same: Ratio) -> float:
    """Return delta: the machine's own floor for a benchmark, but at least ``SMALLEST``.

    same: the ratio of two copies of one kernel, measured among the arms it is to judge. Its floor is how far from 1
    the interval of such a ratio reaches.
    """
    return max(SMALLEST, same.high - 1, 1 - same.low)


def judge(of: Ratio, delta: float) -> Verdict:
    """Return what one measurement says of head / base; `regressed` and `improved` are to be confirmed by another."""
    if of.low > 1 + delta:
        return "regressed"
    if of.high < 1 - delta:
        return "improved"
    return "ok" if 1 - delta <= of.low and of.high <= 1 + delta else "inconclusive"


def needs_rerun(verdict: Verdict) -> bool:
    """Return whether the verdict counts only if a second measurement, of twice as many pairs, repeats it."""
    return verdict in ("regressed", "improved")


def confirm(first: Verdict, again: Verdict) -> Verdict:
    """Return the verdict of a measurement and its rerun: what both say, and inconclusive where they differ."""
    return again if again == first else "inconclusive"


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on all benchmarks together: the first there is of regressed, inconclusive, improved, ok."""
    order: tuple[Verdict, ...] = ("regressed", "inconclusive", "improved", "ok")
    return min(verdicts, key=order.index, default="ok")


def _resampled_medians(logs: Array, generator: np.random.Generator) -> Array:
    """Return the medians of hierarchical resamples: `[processes, pairs] -> [RESAMPLES]`."""
    processes, pairs = logs.shape
    drawn = generator.integers(processes, size=(RESAMPLES, processes, 1))
    rounds = generator.integers(pairs, size=(RESAMPLES, processes, pairs))
    return np.asarray(np.median(logs[drawn, rounds], axis=(1, 2)))


def _ratio(median: float, medians: Array) -> Ratio:
    low, high = np.quantile(medians, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Ratio(float(np.exp(median)), float(np.exp(low)), float(np.exp(high)))
