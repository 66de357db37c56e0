"""The figures of what selected hyper-parameters score, protocols side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from irmbench.analysis.selection import AVERAGE, CAPTION, USABLE
from irmbench.plots.risks import BASELINES, Lines, baselines
from irmbench.plots.style import Look, draw_estimates, draw_legend, looks_of, make_figure, n_words, name_rows, wrapped

COLUMNS = 3  # panels side by side
FLOOR = 1e-5  # errors below it are drawn at it
WORDS = {"test_risk": "test risk", "error_causal": "error on causes", "error_noncausal": "error on the rest"}


def figures(selected: pd.DataFrame, trials: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Yield a figure for every score in a table of ``selection.select``, of official solvers where there are some.

    trials: those selected among.
    """
    if not len(selected):
        return
    rows = selected[selected["environment"].isin(["", AVERAGE])]
    official = rows[rows["solver"] == "official"]
    kinds = baselines(trials.assign(row=trials["name"].where(trials["name"] != "", trials["method"])))
    for score, of in (official if len(official) else rows).groupby("score", sort=False):
        of = of.assign(row=of["method"] + (", without E" + of["left_out"]).where(of["left_out"] != "", ""))
        height = 0.05 * of["row"].nunique() * (1 + of["protocol"].nunique()) + 0.7
        title = f"What selected hyper-parameters score: {WORDS.get(str(score), score)}"
        caption = f"{CAPTION} {n_words(of['n'])}."
        if lines := _lines(of, kinds):
            caption += " Vertical lines: what is selected without a look at a test."
        draw = partial(selection, of, lines=lines)
        panels, one_scale = (of["dataset_label"].nunique(), COLUMNS), score != "test_risk"
        yield f"selection_{score}", make_figure(draw, panels, height, title, caption, one_scale)


def selection(table: pd.DataFrame, axes: Sequence[Axes], lines: Lines | None = None) -> None:
    """Draw a score by method (``row``) and protocol, an axes per dataset.

    lines: the scores at which lines are drawn, by dataset and name in ``BASELINES``.
    """
    looks = looks_of(table["protocol"])
    names, drawn = list(dict.fromkeys(table["row"])), lines or {}
    for ax, (dataset, of) in zip(axes, table.groupby("dataset_label", sort=False), strict=True):
        protocol_scores(of, names, looks, ax)
        for name, value in drawn.get(str(dataset), {}).items():
            ax.axvline(value, **BASELINES[name])
        ax.set_title(wrapped(str(dataset), 26))
    of_lines = {name: look for name, look in BASELINES.items() if any(name in of for of in drawn.values())}
    draw_legend(axes[min(len(axes), COLUMNS) - 1], looks | of_lines)


def protocol_scores(table: pd.DataFrame, names: list[str], looks: dict[str, Look], ax: Axes) -> None:
    """Draw one dataset's score by method and protocol: means over data seeds, and their bootstrap intervals."""
    score = str(table["score"].iloc[0])
    for protocol, rows in table.groupby("protocol", sort=False):
        i = list(looks).index(str(protocol))
        y = rows["row"].map(names.index) + 0.16 * (i - (len(looks) - 1) / 2)
        floor = -np.inf if score == "test_risk" else FLOOR
        draw_estimates(ax, y, rows["mean"], rows["low"], rows["high"], looks[str(protocol)], floor)
    if score != "test_risk":
        ax.set_xscale("log")
    name_rows(ax, [wrapped(name, 24) for name in names])
    ax.set_xlabel(WORDS.get(score, score))


def _lines(of: pd.DataFrame, kinds: dict[str, str]) -> Lines:
    """Return the scores of ERM and of the oracle by dataset, by the first protocol in ``USABLE`` that there is."""
    order = of["protocol"].map({protocol: i for i, protocol in enumerate(USABLE)})
    fair = of.assign(order=order, kind=of["method"].map(kinds)).dropna(subset=["order", "kind"])
    first = fair[fair["left_out"] == ""].sort_values("order").drop_duplicates(["dataset_label", "kind"])
    return {
        str(dataset): dict(zip(rows["kind"], rows["mean"], strict=True))
        for dataset, rows in first.groupby("dataset_label")
    }
