"""Whose fault a miss is: the distance to the causal coefficients as a sum of three parts.

    distance(official on the sample) =  distance(converged on the population)                   the objective
                                      + distance(converged on the sample) - the above           the sample
                                      + distance(official on the sample) - the above            the optimiser

Each part is taken within a data seed. The last two may be negative: a sample, or stopping early, can help.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from irmbench.analysis.statistics import mean_interval
from irmbench.analysis.tables import METHOD, on_all_environments

PARTS = ("objective", "sample", "optimiser")
SOLVERS = ("population", "converged", "official")  # each adds what its predecessor leaves out


def decompose(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row per dataset, method, official solver and part: its mean over seeds, interval, and n.

    Of trials as ``irmbench.load`` returns them; methods and datasets that did not run under all three solvers, or whose
    population or converged solution was found in several ways, are left out. Draws of hyper-parameters are methods of
    their own, as their labels are. Columns: ``METHOD``, solved_by (the official
    solver), part, value, low, high, n.
    """
    return pd.DataFrame(_rows(frame), columns=[*METHOD, "solved_by", "part", "value", "low", "high", "n"])


def _rows(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    ok = on_all_environments(frame[frame["status"] == "ok"]) if len(frame) else frame
    for key, trials in ok.groupby(METHOD, sort=False) if len(ok) else ():
        population, converged, officials = (trials[trials["solver"] == solver] for solver in SOLVERS)
        if any(of["solved_by"].nunique() != 1 for of in (population, converged)):
            continue
        for solved_by, official in officials.groupby("solved_by", sort=False):
            by_seed = [_by_seed(of) for of in (population, converged, official)]
            steps = pd.concat(by_seed, axis=1, join="inner").dropna().to_numpy(dtype=float)
            if not len(steps):
                continue
            for part, values in zip(PARTS, np.diff(steps, axis=1, prepend=0.0).T, strict=True):
                value, low, high, n = mean_interval(values)
                found = {"solved_by": solved_by, "part": part, "value": value, "low": low, "high": high, "n": n}
                yield dict(zip(METHOD, key, strict=True)) | found


def _by_seed(trials: pd.DataFrame) -> pd.Series:
    """Return the distance by data seed; a trial that was also recorded step by step is in the table twice."""
    return trials.groupby("data_seed")["distance"].first()
