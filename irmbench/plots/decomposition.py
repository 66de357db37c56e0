"""The figure of whose fault a miss is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from irmbench.analysis.decomposition import PARTS
from irmbench.analysis.statistics import LEVEL
from irmbench.plots.style import DASHED, draw_estimates, draw_legend, looks_of, make_figure, n_words, name_rows, wrapped

LOOKS = looks_of(PARTS)
COLUMNS = 4  # panels side by side
LINEAR = 0.1  # below this the axis is linear, since parts may be negative, and what is small is no one's fault


def figures(parts: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Yield the figure of a table of ``decompose``, if there is anything in it."""
    if not len(parts):
        return
    height = 0.2 * len(parts[["method_label", "solved_by"]].drop_duplicates()) + 0.8
    caption = (
        "Distance under the official solver, in three parts that add up to it: of the converged solution on the "
        "population (objective), what a sample adds (sample), what the official solver adds (optimiser). Methods that "
        "are defined by their updates count as converged where many of them lead. Means over "
        f"{n_words(parts['n'])} data seeds, {LEVEL:.0%} bootstrap intervals; hyper-parameters are the suite's, not "
        f"selected. The axis is linear from -{LINEAR:g} to {LINEAR:g}, and logarithmic beyond."
    )
    panels = (parts["dataset_label"].nunique(), COLUMNS)
    yield "decomposition", make_figure(partial(decomposition, parts), panels, height, "Whose fault a miss is", caption)


def decomposition(table: pd.DataFrame, axes: Sequence[Axes]) -> None:
    """Draw a table of ``decompose``, an axes per dataset, a row per method and official solver."""
    several = table.groupby("method_label")["solved_by"].nunique() > 1
    named = table["method_label"] + (" (" + table["solved_by"] + ")").where(table["method_label"].map(several), "")
    table = table.assign(row=named)
    methods = list(dict.fromkeys(named))
    for ax, (dataset, of) in zip(axes, table.groupby("dataset_label", sort=False), strict=True):
        dataset_parts(of, methods, ax)
        ax.set_title(wrapped(str(dataset), 23))
    draw_legend(axes[min(len(axes), COLUMNS) - 1], LOOKS)


def dataset_parts(table: pd.DataFrame, methods: list[str], ax: Axes) -> None:
    """Draw the parts of the distance on one dataset: means over data seeds, and their bootstrap intervals."""
    for i, (part, rows) in enumerate(table.groupby("part", sort=False)):
        y = rows["row"].map(methods.index) + 0.25 * (i - 1)
        draw_estimates(ax, y, rows["value"], rows["low"], rows["high"], LOOKS[str(part)], floor=-np.inf)
    ax.axvline(0, **DASHED)
    ax.set_xscale("symlog", linthresh=LINEAR, linscale=1.5)
    low, high = ax.get_xlim()
    far = 10 if max(-low, high) >= 10 else 1
    ticks = [tick for tick in (-far, -LINEAR, 0, LINEAR, far) if low <= tick <= high]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    name_rows(ax, [wrapped(method, 40) for method in methods])
    ax.set_xlabel("part of the distance")
