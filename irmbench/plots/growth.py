"""Figures of the distance to the causal coefficients against a number that the datasets of a run differ in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from irmbench.plots.style import (
    DOUBLE,
    FLOOR,
    PATH,
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
    ok_trials,
    wrapped,
)

PANELS, COLUMNS = 9, 3  # in a figure, and side by side
WORDS = {
    "n": "n, examples an environment",
    "environments": "E, environments",
    "effects": "spurious inputs",
    "others": "spurious inputs",
}
WIDE = 20.0  # an axis whose ends have a larger ratio is logarithmic


def figures(frame: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Yield a figure for every parameter that is a number and varies while the others stay, and for every solver."""
    ok = ok_trials(frame)
    for parameter, solver, panels in _varied(ok):
        looks = looks_of(row for trials in panels for row in trials["row"])
        what = WORDS.get(parameter, parameter)
        more = f" (the first {PANELS} of {len(panels)})" if len(panels) > PANELS else ""
        n = n_words(pd.concat(panels).groupby(PATH)["data_seed"].nunique())
        caption = (
            f"||b - b*|| / ||b*||, solver {solver}. Points: median over {n} data seeds. Bars: {RANGE}. "
            "Hyper-parameters are the suite's, not selected."
        )
        draw = partial(growth, panels[:PANELS], parameter=parameter, looks=looks)
        count, width = (min(PANELS, len(panels)), COLUMNS), SINGLE if len(panels) == 1 else DOUBLE
        title = f"Distance against {what}{more}"
        yield f"by_{parameter}_{solver}", make_figure(draw, count, 2.1, title, caption, width=width)


def growth(panels: Sequence[pd.DataFrame], axes: Sequence[Axes], parameter: str, looks: dict[str, Look]) -> None:
    """Draw the distance against a dataset's parameter, an axes per frame of trials that differ in it."""
    for trials, ax in zip(panels, axes, strict=True):
        distances(trials, parameter, looks, ax)
        ax.set_title(wrapped(_without(parameter, trials.iloc[0]), 28))
    axes[0].set_ylabel("relative distance")
    draw_legend(axes[-1], {row: joined(look) for row, look in looks.items()})


def distances(trials: pd.DataFrame, parameter: str, looks: dict[str, Look], ax: Axes) -> None:
    """Draw the distance against a parameter of the dataset, a line per method, in one solver's trials.

    Points are medians over data seeds, bars their central 95%; distances below ``FLOOR`` are drawn at it.
    """
    at = trials["dataset_params"].map(lambda params: params[parameter])
    spread = trials.groupby(["row", at])["distance"].quantile(QUANTILES).unstack()
    for row, of in spread.groupby(level=0):
        low, median, high = of.to_numpy().clip(FLOOR).T
        x = of.index.get_level_values(1)
        ax.vlines(x, low, high, color=looks[str(row)]["color"], linewidth=0.8, alpha=0.6)
        ax.plot(x, median, **joined(looks[str(row)]))
    values = sorted(set(at))
    if values[0] > 0 and values[-1] > WIDE * values[0]:
        ax.set_xscale("log")
    else:
        ax.set_xticks(values, [f"{value:g}" for value in values])
    log_axis(ax, spread.min().min(), of="y")
    ax.set_xlabel(WORDS.get(parameter, parameter))


def _varied(ok: pd.DataFrame) -> Iterator[tuple[str, str, list[pd.DataFrame]]]:
    """Yield every parameter that varies, with the solver and the trials that differ in nothing else of the dataset."""
    if not len(ok) or "distance" not in ok:
        return
    names = dict.fromkeys(name for params in ok["dataset_params"] for name, value in params.items() if _number(value))
    for name in names:
        having = ok[[name in params for params in ok["dataset_params"]]].dropna(subset=["distance"])
        value = pd.Series([params[name] for params in having["dataset_params"]], having.index)
        rest = [json.dumps({**params, name: None}, sort_keys=True) for params in having["dataset_params"]]
        for solver, of in having.assign(rest=rest).groupby("solver", sort=False):
            grouped = of.groupby(["dataset", "rest"], sort=False)
            panels = [trials for _, trials in grouped if value[trials.index].nunique() > 1]
            if panels:
                yield name, str(solver), panels


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _without(parameter: str, trial: pd.Series) -> str:
    """Return the dataset's label without the parameter."""
    return " ".join(word for word in trial["dataset_label"].split() if not word.startswith(f"{parameter}="))
