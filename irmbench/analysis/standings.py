"""How methods stand in every assumption class: robust aggregates over runs, and tests over data seeds.

A run is one dataset and data seed. A run that failed is at an infinite distance: it loses against all that did not
fail. Where a method does not apply it has no run, and is compared on the runs that it has. Distances that are equal to
six decimals tie.

    distance      the median over runs
    skill         the interquartile mean over runs of 1 - distance / (distance of erm on the same data)
    improvement   the probability of a smaller distance than erm's on the same data, ties counted half
    p, effect     Wilcoxon's signed-rank test over data seeds, adjusted after Holm within a class, and the rank-biserial
                  correlation, above 0 where closer to the causes; a seed's difference is the median over its datasets
    rank          among the methods that run on the same data; the mean over each dataset family, then over families
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from irmbench.analysis.paired import advantages, holm, signed_rank
from irmbench.analysis.statistics import LEVEL, Statistic, iqm, mean, median, strata, stratified_interval, wins
from irmbench.analysis.tables import ROW, as_given, one_row_a_method
from irmbench.interface import Array

Mask = np.ndarray[Any, np.dtype[np.bool_]]

ALL = "all classes"
KEY = [*ROW, "assumption_class"]
CLASS = ["solver", "assumption_class"]
DECIMALS = 6  # of a distance: trained coefficients agree between batches and machines up to 1e-6
RUN = ["data_seed", "dataset_label"]
COLUMNS = [
    *(*KEY, "family", "datasets", "n", "applicable", "failed", "failure_rate"),
    *("distance_median", "distance_low", "distance_high", "skill_iqm", "skill_low", "skill_high"),
    *("improvement", "improvement_low", "improvement_high"),
    *("p_erm", "effect_erm", "p_best", "effect_best", "rank", "best", "tied"),
]


def standings(frame: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Return a row per method, solver and assumption class, and one over ``ALL``, in the order of their ranks there.

    frame: trials as ``irmbench.load`` returns them; of random draws of hyper-parameters the first is taken. ``seed`` is
    the bootstrap's. Columns: ``COLUMNS``. ``best`` has the smallest median of the methods on all the class's datasets,
    oracles aside; ``tied`` are it and those of them that are not significantly worse, which is all of them where seeds
    are few: n seeds show no p below 2^(1 - n). What is undefined is NaN: all beside erm where it was not run, intervals
    and tests of a single seed, tests and ranks of oracles.
    """
    runs = _runs(frame)
    everywhere = pd.concat([runs, runs.assign(assumption_class=ALL)])
    counts = _counts(everywhere).groupby(CLASS)
    classes = [_contest(of, counts.get_group(key), seed) for key, of in everywhere.groupby(CLASS, sort=False)]
    table = pd.concat(classes).assign(overall=lambda t: t["assumption_class"] == ALL)
    overall = table[table["overall"]].groupby(ROW)["rank"].first().rename("order")
    ordered = table.join(overall, on=ROW).sort_values(["solver", "order", *ROW[1:], "overall", "assumption_class"])
    return ordered[COLUMNS].reset_index(drop=True)


def _runs(frame: pd.DataFrame) -> pd.DataFrame:
    """Return trials, each once, with their score (inf: failed; NaN: none), and erm's on the same data."""
    runs = one_row_a_method(as_given(frame)).drop_duplicates([*KEY, *RUN])
    ok = runs["status"] == "ok"
    # Where no trial has coefficients to compare, a failure is no distance either.
    comparable = runs["distance"].where(ok).groupby(runs["dataset_label"]).transform("count") > 0
    score = runs["distance"].where(ok, np.inf).where(comparable & (runs["status"] != "not_applicable"))
    runs = runs.assign(score=score.astype(float).round(DECIMALS))
    same = ["solver", *RUN]
    return runs.assign(erm=_of_erm(runs, [*same, "solved_by"]).fillna(_of_erm(runs, same)))


def _of_erm(runs: pd.DataFrame, same: list[str]) -> pd.Series:
    """Return, for every run, the score of the erm that is the same in some columns; the first if there are several."""
    erm = runs[runs["method_label"] == "erm"].drop_duplicates(same).set_index(same)["score"].rename("found")
    return runs.join(erm, on=same)["found"]


def _counts(runs: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each method, solver and class: what it is, and how many runs of it there are."""
    known = runs.assign(failed=runs["status"] == "failed", applicable=runs["status"] != "not_applicable")
    known[RUN] = known[RUN].where(known["applicable"])
    table = known.groupby(KEY, sort=False, as_index=False).agg(
        family=("family", "first"),
        datasets=("dataset_label", "nunique"),
        n=("data_seed", "nunique"),
        applicable=("applicable", "sum"),
        failed=("failed", "sum"),
    )
    return table.assign(failure_rate=table["failed"] / table["applicable"])


def _contest(runs: pd.DataFrame, counts: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the rows of one solver and assumption class, their counts being known."""
    rows = runs.groupby(ROW, sort=False).ngroup()
    scores, erm = _array(runs, rows, "score"), _array(runs, rows, "erm")
    competing = (counts["family"] != "oracle").to_numpy()
    p, effect = _test(scores, erm, competing & (counts["method_label"] != "erm").to_numpy())
    table = counts.reset_index(drop=True).assign(
        **_intervals(("distance_median", "distance_low", "distance_high"), median, scores, seed),
        **_intervals(("skill_iqm", "skill_low", "skill_high"), iqm, _skill(scores, erm), seed),
        **_intervals(("improvement", "improvement_low", "improvement_high"), mean, wins(scores, erm), seed),
        p_erm=holm(p),
        effect_erm=effect,
        rank=_ranks(np.where(competing[:, None, None], scores, np.nan), runs),
    )
    return _with_best(table, scores, competing)


def _array(runs: pd.DataFrame, rows: pd.Series, column: str) -> Array:
    """Return a column as an array [M, S, K] of methods, seeds and datasets; NaN where there is no run."""
    places = [rows.to_numpy(), *(runs[of].factorize(sort=True)[0] for of in RUN)]
    array = np.full([place.max() + 1 for place in places], np.nan)
    array[tuple(places)] = runs[column]
    return array


def _skill(scores: Array, erm: Array) -> Array:
    """Return 1 - scores / erm; 0 where both are zero or both infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(scores == erm, 0.0, 1 - scores / erm)


def _intervals(names: tuple[str, ...], statistic: Statistic, scores: Array, seed: int) -> dict[str, Array]:
    """Return a statistic of every method's scores [M, S, K] and its interval, as columns of these names."""
    found = np.array([stratified_interval(strata(of_method), statistic, seed) for of_method in scores])
    return dict(zip(names, found.T, strict=True))


def _test(scores: Array, others: Array, tested: Mask) -> tuple[Array, Array]:
    """Return p and effect [M] of the methods that are tested, scores and others being [M, S, K]; NaN of the rest."""
    pairs = zip(scores, others, tested, strict=True)
    found = np.array([signed_rank(advantages(*pair) if test else np.zeros(0)) for *pair, test in pairs])
    return found[:, 0], found[:, 1]


def _ranks(scores: Array, runs: pd.DataFrame) -> Array:
    """Return mean ranks [M] of scores [M, S, K]: over the runs of each family of datasets, then over families."""
    families = runs.groupby("dataset_label")["dataset"].first().to_numpy()
    ranks = pd.DataFrame(scores.reshape(len(scores), -1).T).rank(axis=1)
    return ranks.groupby(np.tile(families, scores.shape[1])).mean().mean().to_numpy()


def _with_best(table: pd.DataFrame, scores: Array, competing: Mask) -> pd.DataFrame:
    """Return the rows with which is best of those that compete, and how they compare with it."""
    everywhere = pd.Series(competing) & (table["datasets"] == table["datasets"].where(competing).max())
    medians = table["distance_median"].where(everywhere & np.isfinite(table["distance_median"]))
    if medians.isna().all():
        return table.assign(p_best=np.nan, effect_best=np.nan, best=False, tied=False)
    best = np.arange(len(table)) == medians.argmin()
    p, effect = _test(scores, np.broadcast_to(scores[best], scores.shape), competing & ~best)
    # Of many equal methods the one that chance makes best is often significantly better than another. So p-values are
    # adjusted as if all pairs had been tested.
    p = holm(p, math.comb(int(competing.sum()), 2))
    tied = medians.notna() & (best | (p >= 1 - LEVEL) | (effect >= 0))
    return table.assign(p_best=p, effect_best=effect, best=best, tied=tied)
