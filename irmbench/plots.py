"""Figures of a run: functions that draw trials, a frame as ``irmbench.load`` returns it, on given axes.

Trials without a result are left out. Figures use no pyplot and a style of their own, and leave the user's alone.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from irmbench import tables
from irmbench.statistics import LEVEL

Timings = pd.DataFrame | list[dict[str, Any]]  # rows of timing.time_penalty
Draw = Callable[[list[Axes]], None]
Look = dict[str, Any]  # properties of a line and its markers

FLOOR = 1e-6  # values below it, exact zeros among them, are drawn at it
PANELS = 6  # trajectories in a figure
COLUMNS = 4  # panels of the leaderboard side by side
PATH = ["solver", "method_label", "solved_by", "dataset_label"]  # what trials that differ in their seed alone share
QUANTILES = np.array([(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
RANGE = f"{QUANTILES[0]:.1%} to {QUANTILES[2]:.1%} percentiles over data seeds"
KIND = ["dtype", "loss", "estimator"]  # of a timed penalty
ARMS = {"fast": "fast", "reference": "double backward", "bound": "streaming bound"}
CAUSAL, OTHER, TRUE = "causal coordinates", "other coordinates", "true values"

PALETTE = sns.color_palette("colorblind").as_hex()
COLOURS = [PALETTE[i] for i in (0, 1, 2, 3, 4, 9, 5, 7)] + ["#000000"]  # its pink and yellow are too pale for points
MARKERS = list("osD^vPX<>*")  # not as many as colours, so that all pairs differ
LOOKS = [{"color": c, "marker": m, "linestyle": "none"} for c, m in zip(COLOURS * 10, MARKERS * 9, strict=True)]
DASHED: Look = {"color": "0.25", "linestyle": (0, (5, 3)), "linewidth": 1, "zorder": 0.9}  # below what is measured
LINES: dict[str, Look] = {CAUSAL: {"color": PALETTE[0]}, OTHER: {"color": PALETTE[3]}, TRUE: DASHED}
# DejaVu comes with matplotlib: figures are the same on every machine.
STYLE = dict(sns.axes_style("whitegrid", {"axes.edgecolor": ".6", "grid.color": ".9", "font.family": ["DejaVu Sans"]}))
STYLE |= {"axes.titlesize": 9.0, "font.size": 9.0, "legend.frameon": False, "svg.hashsalt": "irmbench"}


def save_all(
    frame: pd.DataFrame, folder: Path, timings: Timings | None = None, more: Iterable[tuple[str, Figure]] = ()
) -> list[Path]:
    """Save the plots that trials and timings support, and more by their names, as PNG and SVG.

    Random draws of hyper-parameters are left out. ``more`` is drawn when its turn comes, in the style of the others.
    """
    (folder / "plots").mkdir(parents=True, exist_ok=True)
    saved = []
    with style.context(["default", STYLE]):
        given = frame[frame["draw"] == 0] if "draw" in frame else frame
        for name, figure in chain(_figures(given, pd.DataFrame(timings)), more):
            png, svg = (folder / "plots" / f"{name}.{suffix}" for suffix in ("png", "svg"))
            figure.savefig(png, dpi=150, bbox_inches="tight")
            figure.set_layout_engine("none")  # it is laid out
            figure.savefig(svg, bbox_inches="tight", metadata={"Date": None})
            saved += [png, svg]
    return saved


def _figures(frame: pd.DataFrame, timings: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    ok = _ok(frame) if len(frame) else frame
    if len(ok):
        yield from _score_figures(frame, ok)
    if count := len(_paths(ok)):
        size = (3.2 * min(3, count) + 1.9, 3.0)
        title = "Coefficients on the optimiser's path" + (f" (the first {PANELS} of {count})" if count > PANELS else "")
        caption = f"Lines: mean over n data seeds, one per coordinate. Bands: {RANGE}. Dashed: true values."
        yield "trajectories", make_figure(partial(trajectories, ok), (min(PANELS, count), 3), size, title, caption)
    if len(timings):
        devices = timings["device"].value_counts(sort=False)
        title = f"Time of the IRM penalty on {' and '.join(devices.index)}"
        kind = ", ".join("/".join(timings[column].unique()) for column in KIND)
        ratio = f"double backward / fast [{timings['confidence'].iloc[0]:.0%} percentile bootstrap interval]"
        caption = f"Environments × examples ({kind}). Medians of {n_words(timings['pairs'])} pairs; numbers: {ratio}."
        size = (9.0, 0.4 * devices.max() + 0.6)
        yield "penalty_timing", make_figure(partial(penalty_timing, timings), (len(devices), 1), size, title, caption)


def _score_figures(frame: pd.DataFrame, ok: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    classes = frame["assumption_class"].nunique()
    size = (1.9 * min(COLUMNS, classes) + 4.3, 0.3 * len(frame[tables.ROW].drop_duplicates()) + 0.5)
    n = n_words(ok.groupby([*tables.ROW, "assumption_class"])["data_seed"].nunique())
    title, caption = "Distance to the causal coefficients", f"{tables.CAPTION} {n}. Dashed: zero coefficients."
    yield "leaderboard", make_figure(partial(leaderboard, frame), (classes, COLUMNS), size, title, caption)
    for solver, trials in ok.groupby("solver", sort=False):
        size = (9.5, trials["method"].nunique() * max(0.09 * trials["dataset_label"].nunique(), 0.4) + 0.5)
        title = f"Squared errors of the coefficients, solver {solver}"
        n = n_words(trials.groupby(PATH)["data_seed"].nunique())
        caption = f"Points: median over {n} data seeds. Lines: {RANGE}. On a dotted line: below {FLOOR:g}, or 0."
        yield f"errors_{solver}", make_figure(partial(errors, ok, solver=str(solver)), (2, 2), size, title, caption)


def trajectories(frame: pd.DataFrame, axes: Sequence[Axes]) -> None:
    """Draw coefficients against the number of updates, an axes per method, solver and dataset, while there are axes.

    A line per coordinate is the mean over seeds, a band their central 95% (where there are two), dashed the truth.
    """
    for trials, ax in zip(_paths(_ok(frame)), axes, strict=False):
        first, seeds = trials.iloc[0], trials["data_seed"].nunique()
        # A record of step k is taken after k + 1 updates.
        points = pd.DataFrame([[step + 1, *at] for path in trials["trajectory"] for step, at in path]).groupby(0)
        mean, low, high = points.mean(), points.quantile(QUANTILES[0]), points.quantile(QUANTILES[2])
        for column, causal in zip(mean, first["causal"], strict=True):
            look = LINES[CAUSAL if causal else OTHER]
            if seeds > 1:
                ax.fill_between(mean.index, low[column], high[column], alpha=0.15, linewidth=0, **look)
            ax.plot(mean.index, mean[column], linewidth=1.2, marker=".", markersize=3, **look)
        for value in np.unique(np.mean(trials["truth"].tolist(), axis=0)):
            ax.axhline(value, **DASHED)
        name = wrapped(f"{first['method_label']} on {first['dataset_label']}", 42)
        ax.set_title(f"{name}\n{first['solved_by']}, {first['solver']}, n = {seeds}")
        ax.set(xscale="log", xlabel="updates", ylabel="coefficient")
    draw_legend(axes[min(3, len(axes)) - 1], LINES)


def _paths(ok: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the trials that recorded a trajectory, a frame for each panel."""
    recorded = ok[[isinstance(path, list) for path in ok["trajectory"]]] if "trajectory" in ok else ok.iloc[:0]
    return [trials for _, trials in recorded.groupby(PATH, sort=False)] if len(recorded) else []


def errors(frame: pd.DataFrame, axes: Sequence[Axes], solver: str) -> None:
    """Draw a solver's mean squared errors on two axes, over causal and over other coordinates, a row per dataset.

    Points are medians over data seeds, lines their central 95%; errors below ``FLOOR`` are drawn at it.
    """
    trials = _ok(frame[frame["solver"] == solver])
    looks = _looks(_ok(frame)["method"])  # the same for every solver
    methods = [method for method in looks if method in set(trials["method"])]
    datasets = trials["dataset_label"].unique()
    columns = ["error_causal", "error_noncausal"]
    spread = trials.groupby(["method", "dataset_label"])[columns].quantile(QUANTILES).unstack()
    for ax, column, title in zip(axes, columns, (CAUSAL, OTHER), strict=True):
        for i, method in enumerate(methods):
            low, median, high = spread[column].loc[method].reindex(datasets).to_numpy().T
            y = np.arange(len(datasets)) + 0.9 * ((i + 0.5) / len(methods) - 0.5)
            _estimates(ax, y, median, low, high, looks[method])
        _rows(ax, [wrapped(label, 18) for label in datasets], spread.min().min())
        ax.set(title=title, xlabel="mean squared error")
    draw_legend(axes[-1], {method: looks[method] for method in methods})


def leaderboard(frame: pd.DataFrame, axes: Sequence[Axes]) -> None:
    """Draw the distance to the causal coefficients, an axes per assumption class, a row per method and solver.

    Points are means over data seeds, lines their bootstrap intervals, dashed the distance of zero coefficients.
    """
    board = tables.leaderboard(frame)
    looks = _looks(board["solver"])
    rows = board[tables.ROW].drop_duplicates().itertuples(index=False)
    labels = [wrapped(method if by in ("Newton", "") else f"{method}, {by}", 50) for _, method, by in rows]
    board["y"] = board.groupby(tables.ROW, sort=False).ngroup()
    for ax, (name, cells) in zip(axes, board.groupby("assumption_class"), strict=True):
        for solver, of in cells.groupby("solver"):
            _estimates(ax, of["y"], of["distance"], of["low"], of["high"], looks[str(solver)])
        for _, cell in cells[cells["n"] == 0].iterrows():
            reason = "failed" if cell["failed"] else "not applicable"
            ax.text(0.03, cell["y"], reason, transform=ax.get_yaxis_transform(), va="center", color="0.5", fontsize=8)
        ax.axvline(1, **DASHED)
        _rows(ax, labels, board[["distance", "low"]].min().min())
        ax.set(title=wrapped(str(name), 24), xlabel="relative distance")
    draw_legend(axes[min(COLUMNS, len(axes)) - 1], looks)


def penalty_timing(rows: Timings, axes: Sequence[Axes]) -> None:
    """Draw the penalty's seconds, an axes per device, a row per case, and the ratio of double backward to fast."""
    looks = _looks(ARMS.values())
    for ax, (device, table) in zip(axes, pd.DataFrame(rows).groupby("device", sort=False), strict=True):
        for arm, name in ARMS.items():
            ax.plot(table[f"seconds_{arm}"], range(len(table)), **looks[name])
        for y, row in enumerate(table.to_dict("records")):
            ratio = f"{row['speedup']:.2f}× [{row['speedup_lo']:.2f}, {row['speedup_hi']:.2f}]"
            x = np.sqrt(row["seconds_fast"] * row["seconds_reference"])
            ax.text(x, y - 0.15, ratio, ha="center", va="bottom", fontsize=8)
        cases = table[["environments", "n", *(c for c in KIND if table[c].nunique() > 1)]].itertuples(index=False)
        _rows(ax, [" ".join([f"{e:,} × {n:,}", *others]) for e, n, *others in cases])
        ax.set(title=f"{device}, {table['threads'].max()} threads", xlabel="seconds, forward + backward", xmargin=0.12)
    draw_legend(axes[0], looks)


def _ok(frame: pd.DataFrame) -> pd.DataFrame:
    """Return trials with a result; ``method`` is their label, with what solved it where that alone tells some apart."""
    ok = frame[frame["status"] == "ok"]
    label, ways = ok["method_label"], ok.groupby(["solver", "method_label", "dataset_label"])["solved_by"]
    return ok.assign(method=label.where(ways.transform("nunique") == 1, label + ", " + ok["solved_by"]))


def n_words(counts: Any) -> str:
    """Return ``n = 20`` or ``n = 3 to 20`` of counts, on one line of a caption."""
    return tables.n_words(counts).replace(" ", "\N{NO-BREAK SPACE}")


def _looks(labels: Iterable[str]) -> dict[str, Look]:
    return dict(zip(dict.fromkeys(labels), cycle(LOOKS), strict=False))


def _estimates(ax: Axes, y: Any, value: Any, low: Any, high: Any, look: Look) -> None:
    """Draw points and their intervals in rows, no lower than the floor; nothing where they are missing."""
    ax.hlines(y, np.maximum(low, FLOOR), np.maximum(high, FLOOR), color=look["color"], linewidth=1)
    ax.plot(np.maximum(value, FLOOR), y, markersize=5, markeredgewidth=0.5, **look)


def _rows(ax: Axes, labels: Sequence[str], least: float = FLOOR) -> None:
    """Make rows from the top down on a logarithmic x axis; mark the floor if the ``least`` value lies below it."""
    floor = "≤" if least < FLOOR else ""
    low, high = np.log10(ax.dataLim.intervalx)
    if np.floor(high) <= np.ceil(low):  # fewer than two ticks
        ax.update_datalim([(10 ** np.floor(low), 0), (10 ** np.ceil(high), 0)], updatey=False)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(lambda x, _: f"${floor if x < 2 * FLOOR else ''}10^{{{round(np.log10(x))}}}$")
    ax.minorticks_off()
    ax.set(yticks=range(len(labels)), yticklabels=labels, ylim=(len(labels) - 0.5, -0.5))
    ax.grid(False, axis="y")
    ax.hlines(np.arange(1, len(labels)) - 0.5, 0, 1, transform=ax.get_yaxis_transform(), color="0.8", linewidth=1)
    if floor:
        ax.axvline(FLOOR, **{**DASHED, "linestyle": ":"})


def draw_legend(ax: Axes, looks: dict[str, Look]) -> None:
    """Draw labels and their looks to the right of the axes."""
    handles = [Line2D([], [], **look) for look in looks.values()]
    legend = ax.legend(handles, [""] * len(looks), loc="upper left", bbox_to_anchor=(1.0, 1.0))
    for text, label in zip(legend.get_texts(), looks, strict=True):
        text.set_text(wrapped(label, 28))  # not above: old matplotlib leaves out labels with a first _


def wrapped(label: str, width: int) -> str:
    """Return a label on lines of a width, its dollars escaped: they are no mathematics."""
    return textwrap.fill(label, width).replace("$", r"\$")


def make_figure(
    draw: Draw, panels: tuple[int, int], size: tuple[float, float], title: str, caption: str, one_scale: bool = True
) -> Figure:
    """Return a figure of so many panels in so many columns, of ``size`` inches a row, with one x-axis or one each."""
    count, columns = panels[0], min(panels)
    rows = -(-count // columns)
    height = min(rows * max(size[1], 2.0) + 0.8, 400.0)  # of more than 436 inches no picture can be made
    figure = Figure(figsize=(size[0], height), layout="constrained")
    axes = list(figure.subplots(rows, columns, sharex=one_scale, sharey="row", squeeze=False).flat)
    for i, ax in enumerate(axes):
        ax.tick_params(labelbottom=True)
        ax.set_visible(i < count)
    draw(axes[:count])
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    figure.supxlabel(textwrap.fill(caption, int(16 * size[0])), x=0.01, ha="left", fontsize=8, color="0.35")
    return figure
