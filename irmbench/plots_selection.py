"""The figures of what selected hyper-parameters score, protocols side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from irmbench.plots import COLOURS, MARKERS, Look, draw_legend, make_figure, n_words, wrapped
from irmbench.selection import AVERAGE, CAPTION

WIDTH = 3  # panels side by side
FLOOR = 1e-5  # errors below it are drawn at it
PROTOCOL: Look = {"linestyle": "none", "markersize": 4}
WORDS = {"test_risk": "test risk", "error_causal": "error on causes", "error_noncausal": "error on the rest"}


def make_selection_figures(selected: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Yield a figure for every score in a table of ``selection.select``, of official solvers where there are some."""
    rows = selected[selected["environment"].isin(["", AVERAGE])]
    official = rows[rows["solver"] == "official"]
    for score, of in (official if len(official) else rows).groupby("score", sort=False):
        of = of.assign(row=of["method"] + (", without E" + of["left_out"]).where(of["left_out"] != "", ""))
        panels, names = of["dataset_label"].nunique(), of["row"].nunique()
        size = (2.1 * min(WIDTH, panels) + 2.6, 0.32 * names + 0.8)
        title = f"What selected hyper-parameters score: {WORDS.get(str(score), score)}"
        caption = f"{CAPTION} {n_words(of['n'])}."
        draw, one_scale = partial(selection, of), score != "test_risk"
        yield f"selection_{score}", make_figure(draw, (panels, WIDTH), size, title, caption, one_scale)


def selection(table: pd.DataFrame, axes: Sequence[Axes]) -> None:
    """Draw a score by method (``row``) and protocol, an axes per dataset: means and their intervals."""
    names, protocols = list(dict.fromkeys(table["row"])), list(dict.fromkeys(table["protocol"]))
    looks = {of: PROTOCOL | {"color": COLOURS[i], "marker": MARKERS[i]} for i, of in enumerate(protocols)}
    score = str(table["score"].iloc[0])
    lowest = -np.inf if score == "test_risk" else FLOOR
    for ax, (dataset, of) in zip(axes, table.groupby("dataset_label", sort=False), strict=True):
        for protocol, rows in of.groupby("protocol", sort=False):
            y = rows["row"].map(names.index) + 0.16 * (protocols.index(str(protocol)) - (len(protocols) - 1) / 2)
            look, drawn = looks[str(protocol)], rows[["mean", "low", "high"]].clip(lower=lowest)
            ax.hlines(y, drawn["low"], drawn["high"], color=look["color"], linewidth=1)
            ax.plot(drawn["mean"], y, **look)
        for i in range(1, len(names), 2):
            ax.axhspan(i - 0.5, i + 0.5, color="0.96", zorder=0)
        if score != "test_risk":
            ax.set_xscale("log")
        ax.set(yticks=range(len(names)), yticklabels=[wrapped(name, 28) for name in names])
        ax.set_xlabel(WORDS.get(score, score))
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.set_title(wrapped(str(dataset), 26))
        ax.grid(False, axis="y")
    draw_legend(axes[min(len(axes), WIDTH) - 1], looks)
