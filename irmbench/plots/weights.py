"""Figures of the distance to the causal coefficients against the weight of a method's penalty."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from irmbench.analysis.candidates import Candidates, Selected, contests
from irmbench.analysis.selection import USABLE
from irmbench.plots.style import (
    DOUBLE,
    FLOOR,
    QUANTILES,
    RANGE,
    SINGLE,
    Look,
    draw_legend,
    joined,
    log_axis,
    looks_of,
    make_figure,
    n_words,
    wrapped,
)

WEIGHT = "penalty_weight"
COLUMNS = 3  # panels side by side
KEY = ["method", "solver"]  # of a panel
MARK: Look = {"marker": "o", "linestyle": "none", "color": "0.1", "markerfacecolor": "none", "markersize": 7}


def figures(trials: pd.DataFrame, each_seed: bool) -> Iterator[tuple[str, Figure]]:
    """Yield the figure of the methods whose penalty has several weights, if there are some.

    trials: all of them; ``each_seed``: whether hyper-parameters are selected for each seed.
    """
    table = sensitivity(trials, each_seed)
    if not len(table):
        return
    protocols = ", ".join(dict.fromkeys(table["protocol"][table["protocol"] != ""]))
    caption = (
        f"||b - b*|| / ||b*||. Points: median over {n_words(table['n'])} data seeds, a point per set of "
        f"hyper-parameters. Bars: {RANGE}. Points are joined where nothing but the weight differs."
    )
    if protocols:
        caption += f" Circles: selected by the protocol {protocols}, {'most often' if each_seed else 'for all seeds'}."
    panels = table[KEY].drop_duplicates().shape[0], COLUMNS
    width = SINGLE if panels[0] == 1 else DOUBLE
    draw, title = partial(weights, table), "Distance against the penalty's weight"
    yield "penalty_weight", make_figure(draw, panels, 2.2, title, caption, one_scale=False, width=width)


def sensitivity(trials: pd.DataFrame, each_seed: bool) -> pd.DataFrame:
    """Return a row per dataset, method, solver and candidate that has a penalty weight, where there are several.

    Columns: dataset_label, ``KEY``, weight, low, median, high (of the distance over seeds), n (seeds), alone (whether
    the candidates differ in their weights only), protocol (which selects this candidate, or "").
    """
    return pd.DataFrame([row for key, of in contests(trials) for row in _rows(key, of, each_seed)])


def _rows(key: dict[str, str], candidates: Candidates, each_seed: bool) -> Iterator[dict[str, Any]]:
    tables = [json.loads(params) for params in candidates.params]
    found = [table.pop(WEIGHT, None) for table in tables]
    if None in found or len(set(found)) < 3:
        return
    protocol, selected = _selected(candidates, each_seed)
    alone = all(table == tables[0] for table in tables)
    method = key["method"] + (f", without E{key['left_out']}" if key["left_out"] else "")
    for h, (weight, distance) in enumerate(zip(found, candidates.score("distance").T, strict=True)):
        values = distance[~np.isnan(distance)]
        if len(values):
            numbers = dict(zip(("low", "median", "high"), np.quantile(values, QUANTILES), strict=True))
            row = {"dataset_label": key["dataset_label"], "method": method, "solver": key["solver"], "weight": weight}
            yield row | numbers | {"n": len(values), "alone": alone, "protocol": protocol if h == selected else ""}


def _selected(candidates: Candidates, each_seed: bool) -> tuple[str, int]:
    """Return the first protocol that looks at no test, and the candidate that it selects, of several the most often."""
    for protocol in USABLE:
        if protocol != "defaults" and protocol in candidates.criteria:
            selected = Selected(candidates.criteria[protocol], each_seed)
            if selected.possible:
                return protocol, int(np.bincount(selected.of_seeds).argmax())
    return "", -1


def weights(table: pd.DataFrame, axes: Sequence[Axes]) -> None:
    """Draw a table of ``sensitivity``, an axes per method and solver."""
    looks = looks_of(table["dataset_label"])
    for ax, (key, of) in zip(axes, table.groupby(KEY, sort=False), strict=True):
        method_weights(of, looks, ax)
        ax.set_title(wrapped(", ".join(map(str, key)), 30))
    axes[0].set_ylabel("relative distance")
    selected = {"selected": MARK} if (table["protocol"] != "").any() else {}
    draw_legend(axes[min(COLUMNS, len(axes)) - 1], {name: joined(look) for name, look in looks.items()} | selected)


def method_weights(table: pd.DataFrame, looks: dict[str, Look], ax: Axes) -> None:
    """Draw one method's distance against its penalty's weight, a line per dataset, a circle at what is selected."""
    mixing = table["weight"].between(0, 1).all() and table["weight"].max() > 0.5
    table = table.assign(x=1 - table["weight"] if mixing else table["weight"]).sort_values("x")
    for dataset, of in table.groupby("dataset_label", sort=False):
        look = joined(looks[str(dataset)]) | ({} if of["alone"].all() else {"linestyle": "none"})
        low, median, high = of[["low", "median", "high"]].to_numpy().clip(FLOOR).T
        ax.vlines(of["x"], low, high, color=look["color"], linewidth=0.8, alpha=0.6)
        ax.plot(of["x"], median, **look)
        chosen = of[of["protocol"] != ""]
        ax.plot(chosen["x"], chosen["median"].clip(FLOOR), **MARK)
    least = table["x"][table["x"] > 0].min()
    if table["x"].min() == 0:
        ax.set_xscale("symlog", linthresh=least)
        decades = np.arange(np.ceil(np.log10(least)), np.log10(table["x"].max()) + 0.1)
        ax.set_xticks([0, *10**decades], ["0", *(f"$10^{{{round(decade)}}}$" for decade in decades)])
        ax.minorticks_off()
    else:
        ax.set_xscale("log")
    if mixing:  # a stronger penalty to the right, as where its weight is not bounded
        ax.invert_xaxis()
    log_axis(ax, table["low"].min(), of="y")
    ax.set_xlabel("1 - penalty weight" if mixing else "penalty weight")
