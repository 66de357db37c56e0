"""Figures of performance profiles: in which part of its runs a method is how close to the causal coefficients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from irmbench.analysis.standings import ALL
from irmbench.analysis.statistics import performance_profile
from irmbench.analysis.tables import ROW, one_row_a_method
from irmbench.plots.style import FLOOR, Look, draw_legend, log_axis, looks_of, make_figure, n_words, wrapped

COLUMNS = 3  # panels side by side
DASHES = ["-", (0, (5, 1)), (0, (1, 1)), (0, (4, 1, 1, 1))]


def figures(frame: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Yield a figure for every solver with several methods' distances."""
    if not len(frame) or "distance" not in frame:
        return
    for solver, trials in one_row_a_method(frame).groupby("solver", sort=False):
        runs = _runs(trials)
        if runs["row"].nunique() < 2 or runs.groupby("row").size().max() < 2:
            continue
        panels = runs["assumption_class"].nunique()
        n = n_words(runs.groupby("row")["data_seed"].nunique())
        caption = (
            "Part of the runs, a dataset and a data seed each, in which ||b - b*|| / ||b*|| is at most what the axis "
            f"says; a failed run never is. A method has the datasets that it ran on. {n} data seeds; no interval: all "
            "runs are shown. Hyper-parameters are the suite's, not selected."
        )
        draw, title = partial(profiles, runs), f"Performance profiles of the distance, solver {solver}"
        yield f"profile_{solver}", make_figure(draw, (panels, COLUMNS), 1.9, title, caption)


def profiles(runs: pd.DataFrame, axes: Sequence[Axes]) -> None:
    """Draw one solver's profiles, an axes per class of assumptions, all together first."""
    colours = {row: look["color"] for row, look in looks_of(runs["row"]).items()}
    looks = {row: {"color": of, "linestyle": DASHES[i % len(DASHES)]} for i, (row, of) in enumerate(colours.items())}
    classes = sorted(runs["assumption_class"].unique(), key=lambda name: (name != ALL, name))
    for ax, name in zip(axes, classes, strict=True):
        profile(runs[runs["assumption_class"] == name], looks, ax)
        ax.set_title(wrapped(name, 28))
    axes[0].set_ylabel("part of runs")
    draw_legend(axes[min(COLUMNS, len(axes)) - 1], looks)


def profile(runs: pd.DataFrame, looks: dict[str, Look], ax: Axes) -> None:
    """Draw the part of the runs at or below every distance, a step line per method."""
    distances = np.unique(runs["distance"].replace(np.inf, np.nan).dropna().clip(FLOOR))
    at = np.concatenate([distances[:1], distances, distances[-1:] * 1.5])
    for row, of in runs.groupby("row", sort=False):
        part = performance_profile(of["distance"].clip(FLOOR).to_numpy(), at)
        ax.plot(at, np.concatenate([[0.0], part[1:]]), drawstyle="steps-post", linewidth=1.2, **looks[str(row)])
    log_axis(ax, runs["distance"].min())
    ax.set(ylim=(-0.03, 1.03), xlabel="relative distance")


def _runs(trials: pd.DataFrame) -> pd.DataFrame:
    """Return every run that applies with its method's ``row``, failed ones at infinity; and all again as one class."""
    applicable = trials[trials["status"] != "not_applicable"]
    label, by = applicable["method_label"], applicable["solved_by"]
    several = by.groupby(label).transform("nunique") > 1
    runs = applicable.assign(
        row=label.where(~several, label + ", " + by),
        distance=applicable["distance"].where(applicable["status"] == "ok", np.inf),
    )
    runs = runs.dropna(subset=["distance"]).drop_duplicates([*ROW, "dataset_label", "data_seed"])
    several_classes = runs["assumption_class"].nunique() > 1
    return pd.concat([runs.assign(assumption_class=ALL), runs]) if several_classes else runs
