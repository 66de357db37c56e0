"""Tests of paired differences over data seeds, as pure functions on arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from irmbench.interface import Array


class Comparison(NamedTuple):
    """A two-sided p-value, and an effect between -1 and 1: above 0 where differences tend to be positive."""

    p: float
    effect: float


def advantages(scores: Array, others: Array) -> Array:
    """Return by how much scores are smaller than others, both [S, K] of seeds and datasets, for each seed.

    It is the median over the datasets where both have a score that is not NaN; a seed without such datasets is left
    out. Scores that are both infinite tie.
    """
    with np.errstate(invalid="ignore"):
        differences = np.where(scores == others, 0.0, others - scores)
        medians: Array = np.nanmedian(differences[~np.isnan(differences).all(1)], axis=1)
    return np.where(np.isnan(medians), 0.0, medians)  # half way between -inf and inf


def signed_rank(differences: Array) -> Comparison:
    """Return Wilcoxon's signed-rank test of paired differences [n] and their matched-pairs rank-biserial correlation.

    The effect is (W+ - W-) / (W+ + W-) (Kerby 2014), W+ and W- being the sums of ranks of positive and negative
    differences. Zeros are left out (Wilcoxon 1945), infinite differences rank highest. Where all are zero, p is 1 and
    the effect 0; of fewer than two differences both are NaN.
    """
    if len(differences) < 2:
        return Comparison(np.nan, np.nan)
    nonzero = differences[differences != 0]
    if not len(nonzero):
        return Comparison(1.0, 0.0)
    ranks = stats.rankdata(np.abs(nonzero))
    effect = np.sign(nonzero) @ ranks / ranks.sum()
    # Ranks stand for the differences, which may be infinite.
    return Comparison(float(stats.wilcoxon(np.sign(nonzero) * ranks).pvalue), float(effect))


def holm(p: Array, hypotheses: int | None = None) -> Array:
    """Return p-values [m] adjusted by Holm's step-down method (1979), which bounds the family-wise error.

    NaN is no hypothesis, and stays. ``hypotheses`` is how many there are where ``p`` are those of some of them, chosen
    by what the data say; the others' p-values are then taken to be larger, which errs on the safe side.
    """
    order = np.argsort(p)  # NaN last
    m = int(np.isfinite(p).sum())
    factors = (m if hypotheses is None else hypotheses) - np.arange(m)
    adjusted = np.full(len(p), np.nan)
    adjusted[order[:m]] = np.minimum(np.maximum.accumulate(factors * p[order[:m]]), 1.0)
    return adjusted
