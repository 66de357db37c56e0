"""Two runs compared on what both have: every trial of one with the same trial of the other.

Trials are the same where dataset, its parameters, data seed, method, its hyper-parameters, solver, its settings and the
environment left out are. A trial that failed is at an infinite distance.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from irmbench.analysis.paired import Comparison, holm, signed_rank
from irmbench.analysis.standings import CLASS, KEY
from irmbench.analysis.statistics import LEVEL, mean_interval, median, stratified_interval
from irmbench.analysis.tables import as_given

TRIAL = ["dataset", "dataset_params", "data_seed", "method", "method_params", "solver", "solver_params", "held_out"]
TOLERANCE = 1e-6  # distances that differ by less, absolutely or relatively, are equal: what a solver leaves open
NAMED = {"method_label": "methods", "dataset_label": "datasets", "solver": "solvers", "data_seed": "data seeds"}
COLUMNS = [
    *(*KEY, "datasets", "n", "pairs", "failed_a", "failed_b", "distance_a", "distance_b"),
    *("median", "median_low", "median_high", "mean", "mean_low", "mean_high", "p", "effect", "verdict"),
]


class Pairs(NamedTuple):
    """The trials that two runs share, with both distances; and those that only one of them has."""

    both: pd.DataFrame
    only_a: pd.DataFrame
    only_b: pd.DataFrame


def pair(a: pd.DataFrame, b: pd.DataFrame) -> Pairs:
    """Return the trials of two runs, as ``irmbench.load`` returns them, in pairs.

    Hyper-parameters are as given, not drawn; trials that do not apply, and those of datasets without causal
    coefficients, are left out. ``both`` has the columns of a run, those of ``a``, and ``score_a`` and ``score_b``.
    """
    of_a, of_b = _scored(a), _scored(b)
    shared = of_a.index.intersection(of_b.index)
    both = of_a.loc[shared].rename(columns={"score": "score_a"}).assign(score_b=of_b.loc[shared, "score"])
    return Pairs(both, of_a.drop(shared), of_b.drop(shared))


def _scored(frame: pd.DataFrame) -> pd.DataFrame:
    """Return trials with their score (inf: failed), each once, indexed by what makes them the same."""
    trials = as_given(frame[frame["status"] != "not_applicable"])
    ok = trials["status"] == "ok"
    score = trials.reindex(columns=["distance"])["distance"].where(ok, np.inf).astype(float)
    same = trials.reindex(columns=TRIAL).astype(object).where(trials.reindex(columns=TRIAL).notna(), None)
    keys = [json.dumps(values, sort_keys=True) for values in same.to_numpy().tolist()]
    scored = trials.assign(score=score).set_index(pd.Index(keys, dtype=str)).dropna(subset=["score"])
    return scored[~scored.index.duplicated()]


def compare_runs(pairs: Pairs) -> pd.DataFrame:
    """Return a row per method, solver and assumption class: how the second run's distances differ from the first's.

    A data seed's difference is the median, over the class's datasets, of second minus first: below 0 the second is
    closer to the causal coefficients. Median and mean over n data seeds come with percentile bootstrap intervals, the
    mean being of those without a failure. ``p`` is Wilcoxon's signed-rank test, Holm-adjusted over the methods of a
    solver and class that differ; ``effect`` the matched-pairs rank-biserial correlation. ``verdict``: same (all pairs
    are equal), better or worse (p below 1 - ``LEVEL``), or unclear. ``distance_a`` and ``distance_b`` are medians over
    pairs. Columns: ``COLUMNS``.
    """
    rows = [dict(zip(KEY, key, strict=True)) | _row(of) for key, of in pairs.both.groupby(KEY, sort=False)]
    table = pd.DataFrame(rows, columns=COLUMNS).sort_values(CLASS, kind="stable", ignore_index=True)
    for _, places in table.groupby(CLASS).groups.items():
        table.loc[places, "p"] = holm(table.loc[places, "p"].to_numpy(float))
    significant = table["p"] < 1 - LEVEL
    table.loc[significant, "verdict"] = np.where(table.loc[significant, "effect"] < 0, "better", "worse")
    return table


def _row(pairs: pd.DataFrame) -> dict[str, Any]:
    a, b = pairs["score_a"], pairs["score_b"]
    equal = np.isclose(a, b, rtol=TOLERANCE, atol=TOLERANCE)
    # Where one dataset fails in one run and another in the other, the median of both is no number: a tie.
    of_seeds = (b - a).mask(equal, 0.0).groupby(pairs["data_seed"]).median().fillna(0.0).to_numpy()
    test = Comparison(np.nan, 0.0) if equal.all() else signed_rank(of_seeds)
    middle, average = stratified_interval([of_seeds[:, None]], median), mean_interval(of_seeds[np.isfinite(of_seeds)])
    return {
        **{"datasets": pairs["dataset_label"].nunique(), "n": len(of_seeds), "pairs": len(pairs)},
        **{"failed_a": int(np.isinf(a).sum()), "failed_b": int(np.isinf(b).sum())},
        **{"distance_a": float(a.median()), "distance_b": float(b.median())},
        **{"median": middle.value, "median_low": middle.low, "median_high": middle.high},
        **{"mean": average.mean, "mean_low": average.low, "mean_high": average.high},
        **{"p": test.p, "effect": test.effect, "verdict": "same" if equal.all() else "unclear"},
    }


def unshared(only: pd.DataFrame, other: pd.DataFrame) -> Iterator[str]:
    """Yield in words what trials are only in one run: methods, datasets, solvers and seeds that the other has not."""
    left = only
    for column, kind in NAMED.items():
        new = left[~left[column].isin(other[column].unique())]
        if len(new):
            yield f"{kind} {', '.join(map(str, new[column].unique()))}"
            left = left.drop(new.index)
    if len(left):
        yield f"{len(left):,} with other parameters or combinations ({', '.join(left['method_label'].unique())})"


def origins(frame: pd.DataFrame) -> dict[str, str]:
    """Return what a run's trials were made by, several of a kind joined: suite, versions, commit, machine."""
    found: dict[str, dict[str, None]] = {"suite": dict.fromkeys(map(str, frame["suite"]))}
    for stamp in frame["made_by"].dropna() if "made_by" in frame else ():
        for name, value in stamp.items():
            found.setdefault(name, {})[_short(value) if name == "commit" else str(value)] = None
    return {name: " and ".join(values) for name, values in found.items()}


def _short(commit: str | None) -> str:
    return "none" if commit is None else commit[:7] + "+" * commit.endswith("+")
