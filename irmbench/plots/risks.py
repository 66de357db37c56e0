"""The figure of test risks by dataset, with lines at ERM and at the oracle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from irmbench.plots.style import (
    DASHED,
    LOOKS,
    PATH,
    QUANTILES,
    RANGE,
    Look,
    centres,
    draw_estimates,
    draw_legend,
    make_figure,
    n_words,
    name_rows,
    ok_trials,
    row_edges,
    rows_height,
    wrapped,
)

Lines = dict[str, dict[str, float]]  # by dataset, where lines are drawn, by their names in BASELINES
COLUMNS = 3  # panels side by side
WIDE = 50.0  # an axis whose ends have a larger ratio is logarithmic
BASELINES: dict[str, Look] = {"at ERM": DASHED, "at the oracle": DASHED | {"linestyle": ":"}}


def figures(frame: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Yield the figure of the official solver's worst test risks, or of the first solver's where that did not run."""
    ok = ok_trials(frame)
    ok = ok.dropna(subset=["worst_test_risk"]) if "worst_test_risk" in ok else ok[:0]
    if not len(ok):
        return
    solver = "official" if "official" in set(ok["solver"]) else ok["solver"].iloc[0]
    trials = ok[ok["solver"] == solver]
    n = n_words(trials.groupby(PATH)["data_seed"].nunique())
    caption = (
        "Mean squared error, or under logistic loss the frequency of errors, in the worst test environment. Points: "
        f"median over {n} data seeds. Lines: {RANGE}. Vertical lines: medians of ERM and of the oracle. "
        "Hyper-parameters are the suite's, not selected."
    )
    panels = (trials["dataset_label"].nunique(), COLUMNS)
    height = rows_height(row_edges(_labels(trials).values()))
    draw = partial(test_risks, trials)
    yield "test_risk", make_figure(draw, panels, height, f"Worst test risk, solver {solver}", caption, one_scale=False)


def test_risks(trials: pd.DataFrame, axes: Sequence[Axes]) -> None:
    """Draw one solver's worst test risks, an axes per dataset."""
    ok = ok_trials(trials)
    labels = _labels(ok)
    for ax, (dataset, of) in zip(axes, ok.groupby("dataset_label", sort=False), strict=True):
        dataset_risks(of, labels, ax)
        ax.set_title(wrapped(str(dataset), 26))
    draw_legend(axes[min(len(axes), COLUMNS) - 1], {kind: BASELINES[kind] for kind in baselines(ok).values()})


def dataset_risks(trials: pd.DataFrame, labels: dict[str, str], ax: Axes) -> None:
    """Draw one dataset's worst test risks, a row for every key of ``labels``.

    Points are medians over data seeds, lines their central 95%, vertical lines at the baselines.
    """
    rows, edges = list(labels), row_edges(labels.values())
    spread = trials.groupby("row")["worst_test_risk"].quantile(QUANTILES).unstack().reindex(rows)
    low, median, high = spread.to_numpy().T
    draw_estimates(ax, centres(edges), median, low, high, LOOKS[0], floor=-np.inf)
    for row, kind in baselines(trials).items():
        ax.axvline(median[rows.index(row)], **BASELINES[kind])
    if np.nanmin(low) > 0 and np.nanmax(high) > WIDE * np.nanmin(low):
        ax.set_xscale("log")
    name_rows(ax, list(labels.values()), edges)
    ax.set_xlabel("worst test risk")


def _labels(ok: pd.DataFrame) -> dict[str, str]:
    return {row: wrapped(row, 24) for row in dict.fromkeys(ok["row"])}


def baselines(trials: pd.DataFrame) -> dict[str, str]:
    """Return the ``row`` of the first ERM and of the first oracle among trials, each with its name in ``BASELINES``."""
    found = {"at ERM": trials["method"] == "erm", "at the oracle": trials["family"] == "oracle"}
    return {trials.loc[of, "row"].iloc[0]: kind for kind, of in found.items() if of.any()}
