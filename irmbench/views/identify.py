"""The identification matrix as people read it: a terminal table, one method's answers, a heat map, a CSV."""

from __future__ import annotations

import string
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from rich import box
from rich.table import Table
from rich.text import Text

from irmbench.analysis.identify import CLOSE, PARTS, ROWS, SEEDS, Cell, Verdict, as_json
from irmbench.plots.style import SMALL, make_figure, styled
from irmbench.plots.style import save as save_figure

SIGNS: dict[Verdict, tuple[str, str]] = {
    "identified": ("yes", "bold green"),
    "not identified": ("no", "red"),
    "undefined": ("-", "dim"),
}
NEAREST, FARTHEST = 1e-3, 3.0  # distances at the ends of the heat map's colours
APPROXIMATE = f"~: on {ROWS * PARTS / 1e6:g} million examples, there being no exact moments."
CAPTION = (
    f"yes: the method's limit on population moments is within {CLOSE:.0%} of the causal coefficients. no: it is "
    "another point. -: it is not defined there."
)


def matrix(cells: list[Cell]) -> Table:
    """Return the matrix, a row a method and a letter a class of assumptions."""
    names = _classes(cells)
    legend = "\n".join(f"{letter}  {name}" for letter, name in zip(string.ascii_uppercase, names, strict=False))
    table = Table(
        title="Which methods identify the causal coefficients",
        caption=f"{CAPTION} {APPROXIMATE}\n{legend}",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    table.add_column("method", overflow="fold")  # where a terminal is narrow, names give way, and no verdict
    for letter, _ in zip(string.ascii_uppercase, names, strict=False):
        table.add_column(letter, justify="center", no_wrap=True)
    for method in dict.fromkeys(cell.method for cell in cells):
        row = {cell.assumptions: cell for cell in cells if cell.method == method}
        signs = [Text(*SIGNS[row[name].verdict]) for name in _class_names(cells)]
        table.add_row(method, *signs)
    return table


def answers(cells: list[Cell]) -> Table:
    """Return the answers in words: where a solution goes, or why there is none."""
    table = Table(caption=f"{CAPTION} {APPROXIMATE}", caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    for column in ("method", "class of assumptions", "identified", "what it finds"):
        table.add_column(column, overflow="fold")
    for cell in cells:
        table.add_row(cell.method, _marked(cell), Text(*SIGNS[cell.verdict]), finding(cell))
    return table


def finding(cell: Cell) -> str:
    """Return in words what a method finds."""
    if cell.verdict == "undefined":
        return cell.reason
    if cell.verdict == "identified":
        return f"the causal coefficients, to {cell.distance:.1g}"
    other = "" if cell.other is None else f", {cell.other:z.2f} on average off the causes"
    return f"{cell.causal:z.2f} of the causal coefficients on average{other}; distance up to {cell.distance:.2g}"


def frame(cells: list[Cell]) -> pd.DataFrame:
    """Return a row a cell."""
    return pd.DataFrame(as_json(cells))


def heat_map(cells: list[Cell], ax: Axes) -> None:
    """Draw the distance of every method's limit to the causal coefficients, ticked where it is identified."""
    data = frame(cells)
    distance = data.pivot(index="method", columns="assumptions", values="distance")
    distance = distance.loc[data["method"].unique(), _class_names(cells)].astype(float)
    words = distance.map(lambda value: "" if np.isnan(value) else f"{value:.2g}" if value > CLOSE else "✓")
    colours = mpl.colormaps["cividis_r"].copy()
    sns.heatmap(
        distance.clip(NEAREST, FARTHEST),
        annot=words,
        fmt="",
        ax=ax,
        xticklabels=_classes(cells),
        yticklabels=list(distance.index),  # all of them, where seaborn would leave some out for want of room
        cmap=colours,
        norm=LogNorm(NEAREST, FARTHEST),
        vmin=NEAREST,  # the norm's again: seaborn would seek them among the distances, and warn where there are none
        vmax=FARTHEST,
        linewidths=0.5,
        annot_kws={"size": SMALL},
        cbar_kws={"label": "distance to the causal coefficients", "pad": 0.01},
    )
    ax.set_facecolor("0.93")
    ax.set_xlabel("")
    ax.set_ylabel("")
    ax.set_xticklabels(ax.get_xticklabels(), rotation=35, ha="right", rotation_mode="anchor")
    ax.tick_params(length=0)


def save(cells: list[Cell], folder: Path) -> list[Path]:
    """Save the matrix as CSV, and the heat map in all formats."""
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "identify.csv"
    table.write_text(frame(cells).to_csv(index=False), encoding="utf-8")
    with styled():
        return [table, *save_figure(make_heat_map(cells), folder, "identify")]


def make_heat_map(cells: list[Cell]) -> Figure:
    """Return the figure of the matrix."""
    height = 0.17 * len({cell.method for cell in cells}) + 1.3
    title = "Limit of each method on population moments"
    caption = (
        f"||b - b*|| / ||b*|| of the method's limit, the largest of the seeds {', '.join(map(str, SEEDS))} of random "
        f"weights; no sampling error. ✓: within {CLOSE:.0%}. Empty: undefined. {APPROXIMATE} Hyper-parameters: "
        "those of the limit, otherwise the defaults."
    )
    return make_figure(lambda axes: heat_map(cells, axes[0]), (1, 1), height, title, caption)


def _class_names(cells: list[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.assumptions for cell in cells))


def _classes(cells: list[Cell]) -> list[str]:
    return list(dict.fromkeys(map(_marked, cells)))


def _marked(cell: Cell) -> str:
    return cell.assumptions if cell.exact else f"~ {cell.assumptions}"
