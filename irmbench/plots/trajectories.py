"""The figure of the path that an optimiser takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from irmbench.plots.style import (
    DASHED,
    DOUBLE,
    PALETTE,
    PATH,
    QUANTILES,
    RANGE,
    SINGLE,
    Look,
    draw_legend,
    make_figure,
    ok_trials,
    wrapped,
)

PANELS, COLUMNS = 6, 3  # paths in a figure, and side by side
CAUSAL, OTHER, TRUE = "causal coordinates", "other coordinates", "true values"
LINES: dict[str, Look] = {
    CAUSAL: {"color": PALETTE[0]},
    OTHER: {"color": PALETTE[3]},
    TRUE: DASHED,
}


def figures(frame: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Yield the figure of the trials that recorded a trajectory, if there are some."""
    ok = ok_trials(frame)
    if not (count := len(_paths(ok))):
        return
    title = "Coefficients on the optimiser's path" + (f" (the first {PANELS} of {count})" if count > PANELS else "")
    caption = (
        f"Lines: mean over n data seeds, one per coordinate. Bands: {RANGE}. Dashed: true values. Hyper-parameters are "
        "the suite's, not selected."
    )
    width = SINGLE if count == 1 else DOUBLE
    panels = (min(PANELS, count), COLUMNS)
    yield "trajectories", make_figure(partial(trajectories, ok), panels, 2.2, title, caption, width=width)


def trajectories(frame: pd.DataFrame, axes: Sequence[Axes]) -> None:
    """Draw a ``trajectory`` per method, solver and dataset, while there are axes."""
    for trials, ax in zip(_paths(ok_trials(frame)), axes, strict=False):
        trajectory(trials, ax)
    draw_legend(axes[min(COLUMNS, len(axes)) - 1], LINES)


def trajectory(trials: pd.DataFrame, ax: Axes) -> None:
    """Draw one method's coefficients against the number of updates, trials differing in their seed alone.

    A line per coordinate is the mean over seeds, a band their central 95% (where there are two), dashed the truth.
    """
    first, seeds = trials.iloc[0], trials["data_seed"].nunique()
    # A record of step k is taken after k + 1 updates.
    points = pd.DataFrame([[step + 1, *at] for path in trials["trajectory"] for step, at in path]).groupby(0)
    mean, low, high = points.mean(), points.quantile(QUANTILES[0]), points.quantile(QUANTILES[2])
    for column, causal in zip(mean, first["causal"], strict=True):
        look = LINES[CAUSAL if causal else OTHER]
        if seeds > 1:
            ax.fill_between(mean.index, low[column], high[column], color=look["color"], alpha=0.15, linewidth=0)
        ax.plot(mean.index, mean[column], linewidth=1.2, marker=".", markersize=2, **look)
    for value in np.unique(np.mean(trials["truth"].tolist(), axis=0)):
        ax.axhline(value, **DASHED)
    name = wrapped(f"{first['method_label']} on {first['dataset_label']}", 34)
    ax.set_title(f"{name}\n{first['solved_by']}, {first['solver']}, n = {seeds}")
    ax.set(xscale="log", xlabel="updates", ylabel="coefficient")


def _paths(ok: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the trials that recorded a trajectory, a frame for each panel."""
    recorded = ok[[isinstance(path, list) for path in ok["trajectory"]]] if "trajectory" in ok else ok.iloc[:0]
    return [trials for _, trials in recorded.groupby(PATH, sort=False)] if len(recorded) else []
