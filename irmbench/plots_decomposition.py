"""The figure of whose fault a miss is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from irmbench.decomposition import PARTS
from irmbench.plots import COLOURS, COLUMNS, DASHED, MARKERS, Look, draw_legend, make_figure, n_words, wrapped
from irmbench.statistics import LEVEL

LOOKS: dict[str, Look] = {
    part: {"color": COLOURS[i], "marker": MARKERS[i], "linestyle": "none"} for i, part in enumerate(PARTS)
}
LINEAR = 0.1  # below this the axis is linear, since parts may be negative, and what is small is no one's fault
TICKS = (-10, -1, -LINEAR, 0, LINEAR, 1, 10)


def make_decomposition_figure(parts: pd.DataFrame) -> Figure:
    """Return the figure of a table of ``decompose``."""
    datasets = parts["dataset_label"].nunique()
    rows = len(parts[["method_label", "solved_by"]].drop_duplicates())
    size = (1.9 * min(COLUMNS, datasets) + 3.6, 0.28 * rows + 0.9)
    caption = (
        "Distance under the official solver, in three parts that add up to it: of the converged solution on the "
        "population (objective), what a sample adds (sample), what the official solver adds (optimiser). Methods that "
        "are defined by their updates count as converged where many of them lead. Means over "
        f"{n_words(parts['n'])} data seeds, {LEVEL:.0%} bootstrap intervals; the axis is linear from -{LINEAR:g} to "
        f"{LINEAR:g}, and logarithmic beyond."
    )
    return make_figure(partial(decomposition, parts), (datasets, COLUMNS), size, "Whose fault a miss is", caption)


def decomposition(table: pd.DataFrame, axes: Sequence[Axes]) -> None:
    """Draw the parts of the distance, an axes per dataset, a row per method and official solver.

    ``table`` is that of ``decompose``. Points are means over data seeds, lines their bootstrap intervals.
    """
    several = table.groupby("method_label")["solved_by"].nunique() > 1
    named = table["method_label"] + (" (" + table["solved_by"] + ")").where(table["method_label"].map(several), "")
    table = table.assign(row=named)
    methods = list(dict.fromkeys(table["row"]))
    for ax, (dataset, of) in zip(axes, table.groupby("dataset_label", sort=False), strict=True):
        for i, (part, rows) in enumerate(of.groupby("part", sort=False)):
            y = rows["row"].map(methods.index) + 0.25 * (i - 1)
            look = LOOKS[str(part)]
            ax.hlines(y, rows["low"], rows["high"], color=look["color"], linewidth=1)
            ax.plot(rows["value"], y, markersize=4, **look)
        for i in range(1, len(methods), 2):
            ax.axhspan(i - 0.5, i + 0.5, color="0.96", zorder=0)
        ax.axvline(0, **DASHED)
        ax.set_xscale("symlog", linthresh=LINEAR, linscale=1.5)
        low, high = ax.get_xlim()
        ticks = [tick for tick in TICKS if low <= tick <= high]
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.set(yticks=range(len(methods)), yticklabels=[wrapped(m, 40) for m in methods], xlabel="part of the distance")
        ax.set_ylim(len(methods) - 0.5, -0.5)
        ax.set_title(wrapped(str(dataset), 24))
        ax.grid(False, axis="y")
    draw_legend(axes[min(len(axes), COLUMNS) - 1], LOOKS)
