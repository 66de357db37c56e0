"""A method's trials on one dataset as arrays of data seeds by candidates, and the candidates that a criterion selects.

A candidate is one set of hyper-parameters of the method and its solver.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from irmbench.analysis.statistics import LEVEL, RESAMPLES
from irmbench.interface import Array

Places = np.ndarray[Any, np.dtype[np.intp]]
KEY = ["dataset_label", "method", "solver", "left_out"]
ERRORS = ("error_causal", "error_noncausal", "distance")


def has_candidates(frame: pd.DataFrame) -> bool:
    """Whether trials are there to select among: validated draws, or environments held out."""
    recorded = {"held_out", "validate"} <= set(frame.columns)
    return recorded and bool((frame["held_out"].notna() | frame["validate"].eq(True)).any())


def contests(frame: pd.DataFrame) -> Iterator[tuple[dict[str, str], Candidates]]:
    """Yield every method's candidates on every dataset, by ``KEY``; trained on all environments, then on all but one.

    frame: trials as ``irmbench.load`` returns them. ``left_out`` is the environment that is not trained on, or "".
    """
    if not {"held_out", "name"} <= set(frame.columns):
        return
    frame = frame[frame["status"] != "not_applicable"]
    named = frame["name"].where(frame["name"].fillna("") != "", frame["method"])
    params = [json.dumps({**m, **s}) for m, s in zip(frame["method_params"], frame["solver_params"], strict=True)]
    frame = frame.assign(method=named, params=params)
    for labels, trials in frame.groupby(KEY[:-1], sort=False):
        key = dict(zip(KEY, map(str, labels), strict=False))
        held_out = trials["held_out"]
        if held_out.isna().any():
            yield key | {"left_out": ""}, Candidates(trials[held_out.isna()], trials[held_out.notna()])
        if held_out.nunique() == 1:
            part = trials[held_out.notna()]
            yield key | {"left_out": f"{part['held_out'].iloc[0]:.0f}"}, Candidates(part, trials[:0])


class Candidates:
    """Trials as arrays [S, H] of S seeds by H candidates, in the order of their draws; NaN where there is no result.

    ``elsewhere``: trials of the same candidates that were trained without one environment, for each in turn.
    """

    def __init__(self, trials: pd.DataFrame, elsewhere: pd.DataFrame) -> None:
        self.seeds = sorted(trials["data_seed"].unique())
        self.params = list(dict.fromkeys(trials.sort_values("draw", kind="stable")["params"]))
        self._trials, self._elsewhere = trials, elsewhere

    @property
    def several(self) -> bool:
        """Whether there is more than one candidate."""
        return len(self.params) > 1

    @cached_property
    def names(self) -> list[str]:
        """What tells the candidates apart, in words."""
        tables = [json.loads(of) for of in self.params]
        differing = [name for name in tables[0] if len({json.dumps(table[name]) for table in tables}) > 1]
        return [", ".join(f"{name}={_short(table[name])}" for name in differing) for table in tables]

    @cached_property
    def criteria(self) -> dict[str, Array]:
        """What each protocol minimises, [S, H]."""
        given = np.full((len(self.seeds), len(self.params)), np.nan)
        given[:, 0] = self._array(ok := self._trials[self._trials["status"] == "ok"], np.zeros(len(ok)))[:, 0]
        found = {"defaults": given}
        if not self.several:
            return found
        validation, test = self.environments("validation_risk"), self.environments("test_risk")
        if (held_out := self._held_out(len(validation))) is not None:
            found["leave one out"] = held_out
        if self._trials["held_out"].notna().all():
            found["last environment"] = self.environments("held_out_risk")[0]
        elif validation:
            found["training validation"] = np.mean(validation, axis=0)
        if test:
            found["oracle"] = np.mean(test, axis=0)
        if "distance" in self._trials and self._trials["distance"].notna().any():
            found["oracle coefficients"] = self.score("distance")
        return found

    def score(self, column: str) -> Array:
        """Return a column of numbers, [S, H]."""
        return self._array(self._trials, self._trials.get(column, np.nan))

    def environments(self, column: str) -> list[Array]:
        """Return a column of a number for each environment, [S, H] each."""
        rows = self._trials.dropna(subset=[column]) if column in self._trials else self._trials[:0]
        return [self._array(rows, values) for values in zip(*rows[column], strict=True)] if len(rows) else []

    def _held_out(self, environments: int) -> Array | None:
        """Return the mean risk on every environment of the candidates trained without it, or None if one is missing."""
        ok = self._elsewhere[self._elsewhere["status"] == "ok"]
        parts = [part for _, part in ok.groupby("held_out")]
        if not parts or len(parts) < (environments or self._elsewhere["held_out"].nunique()):
            return None
        mean: Array = np.mean([self._array(p, [risk for (risk,) in p["held_out_risk"]]) for p in parts], axis=0)
        return mean

    def _array(self, trials: pd.DataFrame, values: Any) -> Array:
        array = np.full((len(self.seeds), len(self.params)), np.nan)
        places = [*map(self.seeds.index, trials["data_seed"])], [*map(self.params.index, trials["params"])]
        array[places] = np.asarray(values, dtype=float)
        return array


class Selected:
    """The candidates of the least criterion [S, H]: one for each seed, or one for all of them by its mean over seeds.

    Where one is selected for all, one without a result for any seed cannot be.
    """

    def __init__(self, criterion: Array, each_seed: bool) -> None:
        lacking = np.isnan(criterion)
        self._each_seed = each_seed
        self._criterion = np.where(lacking if each_seed else lacking.any(0), np.inf, criterion)
        self.possible = bool(np.isfinite(self._criterion).any(1).all())

    @cached_property
    def of_seeds(self) -> Places:
        """The candidate of every seed, [S]."""
        seeds = len(self._criterion)
        one = self._criterion.mean(0).argmin()
        places: Places = self._criterion.argmin(1) if self._each_seed else np.full(seeds, one)
        return places

    @property
    def shares(self) -> Array:
        """The part of the seeds that every candidate is selected for, or of their resamples if one is for all, [H]."""
        places = self.of_seeds if self._each_seed else self._of_resamples
        shares: Array = np.bincount(places, minlength=self._criterion.shape[1]) / len(places)
        return shares

    @cached_property
    def _of_resamples(self) -> Places:
        """The one candidate that every resample of the seeds selects."""
        usable = np.flatnonzero(np.isfinite(self._criterion[0]))
        selected: Places = usable[(self._resamples @ self._criterion[:, usable]).argmin(1)]
        return selected

    @cached_property
    def _resamples(self) -> Array:
        seeds = len(self._criterion)
        counts: Array = np.random.default_rng(0).multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES) / seeds
        return counts

    def estimate(self, values: Array) -> dict[str, float]:
        """Return mean, sd, median and interval over seeds of the selected candidates' values [S, H].

        The interval is the percentile bootstrap's, each resample of the seeds selecting anew; NaN of a single seed.
        """
        own = np.take_along_axis(values, self.of_seeds[:, None], 1)[:, 0]
        if self._each_seed:
            means = self._resamples @ own
        else:
            usable = np.isfinite(self._criterion[0])
            resampled = self._resamples @ np.where(usable, values, 0.0)
            means = np.take_along_axis(resampled, self._of_resamples[:, None], 1)[:, 0]
        low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if len(own) > 1 else (np.nan, np.nan)
        numbers = {"mean": own.mean(), "sd": own.std(), "median": np.median(own), "low": low, "high": high}
        return {name: float(number) for name, number in numbers.items()} | {"n": len(own)}

    def described(self, names: list[str]) -> str:
        """Return the selected candidates' names, with the number of seeds they are selected for if not for all."""
        counts = Counter(self.of_seeds.tolist()).most_common()
        if len(counts) == 1:
            return names[counts[0][0]]
        return "; ".join(f"{names[h]} ({count} of {len(self.of_seeds)} seeds)" for h, count in counts)


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
