"""Figures of squared errors over causal and over other coordinates, a row per dataset or variant of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from irmbench.plots.style import (
    FLOOR,
    PATH,
    QUANTILES,
    RANGE,
    Look,
    draw_estimates,
    draw_legend,
    log_axis,
    looks_of,
    make_figure,
    n_words,
    name_rows,
    ok_trials,
    wrapped,
)

COLUMNS = {"error_causal": "causal coordinates", "error_noncausal": "other coordinates"}
VARIANTS = 3  # as many of one dataset have a figure of their own


def figures(frame: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Yield a figure for every solver, and further ones for the variants of a dataset."""
    ok = ok_trials(frame)
    if not len(ok):
        return
    counts = ok.groupby("dataset")["dataset_label"].nunique()
    family = ok["dataset"].where(ok["dataset"].map(counts) >= VARIANTS, "")
    looks = looks_of(ok["row"])  # the same in all of them
    for (of, solver), trials in ok.groupby([family, "solver"], sort=False):
        name = "_".join(filter(None, ["errors", str(of), str(solver)]))
        title = f"Squared errors of the coefficients{f', variants of {of}' if of else ''}, solver {solver}"
        n = n_words(trials.groupby(PATH)["data_seed"].nunique())
        caption = (
            f"Points: median over {n} data seeds. Lines: {RANGE}. On a dotted line: below {FLOOR:g}, or 0. "
            "Hyper-parameters are the suite's, not selected."
        )
        height = trials["dataset_label"].nunique() * max(0.07 * trials["row"].nunique(), 0.2) + 0.6
        yield name, make_figure(partial(errors, trials, looks=looks), (2, 2), height, title, caption)


def errors(trials: pd.DataFrame, axes: Sequence[Axes], looks: dict[str, Look] | None = None) -> None:
    """Draw one solver's mean squared errors on two axes, over causal and over other coordinates.

    trials: of a frame as ``irmbench.load`` returns it. ``looks`` has a look for every method label.
    """
    ok = ok_trials(trials)
    looks = looks or looks_of(ok["row"])
    for ax, column in zip(axes, COLUMNS, strict=True):
        error_rows(ok, column, looks, ax)
    draw_legend(axes[-1], {method: look for method, look in looks.items() if method in set(ok["row"])})


def error_rows(trials: pd.DataFrame, column: str, looks: dict[str, Look], ax: Axes) -> None:
    """Draw one error of ``COLUMNS``, a row per dataset and in it the methods.

    Points are medians over data seeds, lines their central 95%; errors below ``FLOOR`` are drawn at it.
    """
    methods = [method for method in looks if method in set(trials["row"])]
    datasets = trials["dataset_label"].unique()
    family = f"{trials['dataset'].iloc[0]} " if trials["dataset"].nunique() == 1 < len(datasets) else ""
    labels = [label.removeprefix(family) for label in datasets]
    spread = trials.groupby(["row", "dataset_label"])[list(COLUMNS)].quantile(QUANTILES).unstack()
    for i, method in enumerate(methods):
        low, median, high = spread[column].loc[method].reindex(datasets).to_numpy().T
        y = np.arange(len(datasets)) + 0.9 * ((i + 0.5) / len(methods) - 0.5)
        draw_estimates(ax, y, median, low, high, looks[method])
    log_axis(ax, spread.min().min())
    name_rows(ax, [wrapped(label, 18) for label in labels])
    ax.set(title=COLUMNS[column], xlabel="mean squared error")
