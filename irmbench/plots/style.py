"""How figures look: one style, sizes of a printed column, what marks a method, and how a figure is put together.

Figures use no pyplot and a style of their own, and leave the user's alone. They are as wide as one or two columns of a
paper, and no text in them is smaller than 7 points at that size.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import cycle, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from fontTools import subset
from fontTools.ttLib import TTFont
from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from irmbench.analysis import tables
from irmbench.analysis.statistics import LEVEL
from irmbench.interface import Array

Draw = Callable[[list[Axes]], None]
Look = dict[str, Any]  # properties of a line and its markers

SINGLE, DOUBLE = 3.3, 6.8  # inches: the width of one column of a paper, and of two
SMALL, TEXT, HEADING = 7.0, 7.5, 9.0  # points: captions and ticks; labels and panels' titles; a figure's title
PAD = 0.05  # inches at the edges
TALLEST = 300.0  # inches: of more than 65,536 pixels no picture can be made
DPI = 200  # of pictures
FORMATS: dict[str, dict[str, Any]] = {  # nothing in a file tells when it was made
    "png": {"dpi": DPI},
    "svg": {"metadata": {"Date": None}},
    "pdf": {"metadata": {"CreationDate": None}},
}
UNUSED = {"GDEF", "GPOS", "GSUB", "MATH", "kern"}  # tables of fonts, in a PDF
FLOOR = 1e-6  # values below it, exact zeros among them, are drawn at it
PATH = ["solver", "method_label", "solved_by", "dataset_label"]  # what trials that differ in their seed alone share
QUANTILES = np.array([(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
RANGE = f"{QUANTILES[0]:.1%} to {QUANTILES[2]:.1%} percentiles over data seeds"

PALETTE = sns.color_palette("colorblind").as_hex()
COLOURS = [PALETTE[i] for i in (0, 1, 2, 3, 4, 9, 5, 7)] + ["#000000"]  # its pink and yellow are too pale for points
MARKERS = list("osD^vPX<>*")  # not as many as colours, so that all pairs differ
LOOKS = [{"color": c, "marker": m, "linestyle": "none"} for c, m in zip(COLOURS * 10, MARKERS * 9, strict=True)]
DASHED: Look = {"color": "0.25", "linestyle": (0, (5, 3)), "linewidth": 1, "zorder": 0.9}  # below what is measured
# DejaVu comes with matplotlib: figures are the same on every machine.
STYLE = dict(sns.axes_style("whitegrid", {"axes.edgecolor": ".6", "grid.color": ".9", "font.family": ["DejaVu Sans"]}))
STYLE |= {"font.size": TEXT, "axes.titlesize": TEXT, "axes.labelsize": TEXT, "legend.fontsize": TEXT}
STYLE |= {"xtick.labelsize": SMALL, "ytick.labelsize": SMALL, "xtick.major.pad": 2.0, "ytick.major.pad": 2.0}
STYLE |= {"legend.frameon": False, "svg.hashsalt": "irmbench", "pdf.fonttype": 42, "grid.linewidth": 0.6}
STYLE |= {"axes.titley": 1.0}  # just above the axes, which matplotlib otherwise finds out slowly, in every draw


def styled() -> AbstractContextManager[None]:
    """Return the context in which figures are made and saved."""
    return style.context(["default", STYLE])


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Save a figure in every format, and return the files."""
    paths = [folder / f"{name}.{suffix}" for suffix in FORMATS]
    _lay_out(figure)
    with _bare_fonts():
        for path, how in zip(paths, FORMATS.values(), strict=True):
            figure.savefig(path, **how)
    return paths


def _lay_out(figure: Figure) -> None:
    """Lay a figure out for good: with an engine, even one that does nothing, ``savefig`` draws everything twice."""
    for axis in (axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis) if not axis.get_label_text()):
        axis.set_label_coords(0, 0)  # no place needs to be found, in every draw, for a label that says nothing
    figure.set_dpi(DPI)  # text is as wide as in the pictures
    if engine := figure.get_layout_engine():
        engine.execute(figure)
        figure.set_layout_engine(None)


@contextmanager
def _bare_fonts() -> Iterator[None]:
    """Have PDFs made of fonts without tables that they have no use for: a PDF says itself where every letter is.

    To read and subset those of kerning and ligatures takes fontTools longer than it takes to draw the figure.
    """
    load = subset.load_font

    def load_bare(*args: Any, **how: Any) -> TTFont:
        font = load(*args, **how)
        for tag in UNUSED & set(font.keys()):
            del font[tag]
        return font

    subset.load_font = load_bare
    try:
        yield
    finally:
        subset.load_font = load


def ok_trials(frame: pd.DataFrame) -> pd.DataFrame:
    """Return trials with a result; ``row`` is the method's label, with what solved it where that alone tells apart."""
    if not len(frame):
        return frame
    ok = frame[frame["status"] == "ok"]
    label, ways = ok["method_label"], ok.groupby(["solver", "method_label", "dataset_label"])["solved_by"]
    return ok.assign(row=label.where(ways.transform("nunique") == 1, label + ", " + ok["solved_by"]))


def n_words(counts: Any) -> str:
    """Return ``n = 20`` or ``n = 3 to 20`` of counts, on one line of a caption."""
    return tables.n_words(counts).replace(" ", "\N{NO-BREAK SPACE}")


def looks_of(labels: Iterable[str]) -> dict[str, Look]:
    """Return a look for every different label."""
    return dict(zip(dict.fromkeys(labels), cycle(LOOKS), strict=False))


def joined(look: Look) -> Look:
    """Return a look whose points are joined by a line."""
    return {**look, "linestyle": "-", "linewidth": 1, "markersize": 3}


def draw_estimates(ax: Axes, y: Any, value: Any, low: Any, high: Any, look: Look, floor: float = FLOOR) -> None:
    """Draw points and their intervals in rows, no lower than the floor; nothing where they are missing."""
    ax.hlines(y, np.maximum(low, floor), np.maximum(high, floor), color=look["color"], linewidth=1)
    ax.plot(np.maximum(value, floor), y, markersize=4, markeredgewidth=0.5, **look)


def row_edges(labels: Iterable[str]) -> Array:
    """Return where rows begin and end, [rows + 1]: a label of one line has a row 1 high, each further line adds 0.9."""
    heights = [1 + 0.9 * label.count("\n") for label in labels]
    edges: Array = np.cumsum([-0.5, *heights])
    return edges


def centres(edges: Array) -> Array:
    """Return the middle of every row, [rows]."""
    middles: Array = (edges[1:] + edges[:-1]) / 2
    return middles


def rows_height(edges: Array) -> float:
    """Return the inches of a panel with such rows, between which a line of text fits."""
    return float(0.135 * (edges[-1] - edges[0])) + 0.75


def name_rows(ax: Axes, labels: Sequence[str], edges: Array | None = None) -> None:
    """Name rows from the top down, 1 high unless their edges are given, and part them by lines."""
    ends = row_edges([""] * len(labels)) if edges is None else edges
    ax.set(yticks=centres(ends), yticklabels=labels, ylim=(ends[-1], ends[0]))
    ax.grid(False, axis="y")
    ax.hlines(ends[1:-1], 0, 1, transform=ax.get_yaxis_transform(), color="0.8", linewidth=0.6)


def log_axis(ax: Axes, least: float = FLOOR, of: str = "x") -> None:
    """Make an axis logarithmic with two ticks at least; mark the floor if the ``least`` value lies below it."""
    sign = "≤" if least < FLOOR else ""
    axis, limits = (ax.xaxis, ax.dataLim.intervalx) if of == "x" else (ax.yaxis, ax.dataLim.intervaly)
    low, high = np.log10(limits)
    if np.floor(high) <= np.ceil(low):  # fewer than two ticks
        ends = [10 ** np.floor(low), 10 ** np.ceil(high)]
        ax.update_datalim([(end, end) for end in ends], updatex=of == "x", updatey=of == "y")
    (ax.set_xscale if of == "x" else ax.set_yscale)("log")
    axis.set_major_formatter(lambda x, _: f"${sign if x < 2 * FLOOR else ''}10^{{{round(np.log10(x))}}}$")
    ax.minorticks_off()
    if sign:
        (ax.axvline if of == "x" else ax.axhline)(FLOOR, **{**DASHED, "linestyle": ":"})


def draw_legend(ax: Axes, looks: dict[str, Look]) -> None:
    """Draw labels and their looks to the right of the axes; ``make_figure`` moves them above its panels."""
    handles = [Line2D([], [], **{"markersize": 4, **look}) for look in looks.values()]
    _legend(ax, handles, [wrapped(label, 34) for label in looks], loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _legend(of: Axes | Figure, handles: Sequence[Artist], labels: Sequence[str], **where: Any) -> None:
    legend = of.legend(handles, [""] * len(labels), **where)
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_text(label)  # not above: old matplotlib leaves out labels with a first _


def wrapped(label: str, width: int) -> str:
    """Return a label on lines of a width, its dollars escaped: they are no mathematics."""
    return textwrap.fill(label, width, break_on_hyphens=False).replace("$", r"\$")


def make_figure(
    draw: Draw,
    panels: tuple[int, int],
    height: float,
    title: str,
    caption: str,
    one_scale: bool = True,
    width: float = DOUBLE,
) -> Figure:
    """Return a figure of so many panels in so many columns, ``height`` inches a row, with one x-axis or one each.

    From the top down: the title, the panels' legends in one, the panels, the caption.
    """
    count, columns = panels[0], min(panels)
    rows = -(-count // columns)
    engine = ConstrainedLayoutEngine()
    figure = Figure(layout=engine)
    axes = list(figure.subplots(rows, columns, sharex=one_scale, sharey="row", squeeze=False).flat)
    for i, ax in enumerate(axes):
        ax.tick_params(labelbottom=True)
        ax.set_visible(i < count)
    draw(axes[:count])
    handles, labels = _taken_legends(axes)
    entries = max(1, int(width / (0.4 + _width(labels))))  # of the legend, side by side
    heading, text = wrapped(title, _characters(width, HEADING)), wrapped(caption, _characters(width, SMALL))
    top = PAD + _height(heading, HEADING)
    above = top + (_legend_height(labels, entries) if labels else 0)
    below = PAD + _height(text, SMALL)
    tall = min(rows * max(height, 1.0) + above + below, TALLEST)
    figure.set_size_inches(width, tall)
    engine.set(rect=(0, below / tall, 1, 1 - (above + below) / tall))
    figure.text(PAD / width, 1 - PAD / tall, heading, va="top", fontsize=HEADING, fontweight="bold")
    figure.text(PAD / width, PAD / tall, text, va="bottom", fontsize=SMALL, color="0.35")
    if labels:
        where = {"loc": "upper left", "bbox_to_anchor": (0, 1 - top / tall), "borderaxespad": 0.0}
        _legend(figure, handles, labels, ncols=entries, **where)
    return figure


def _taken_legends(axes: Sequence[Axes]) -> tuple[list[Artist], list[str]]:
    """Take the axes' legends away and return what was in them."""
    handles: list[Artist] = []
    labels: list[str] = []
    for legend in filter(None, [ax.get_legend() for ax in axes]):
        handles += filter(None, legend.legend_handles)
        labels += [text.get_text() for text in legend.get_texts()]
        legend.remove()
    return handles, labels


def _legend_height(labels: Sequence[str], columns: int) -> float:
    """Return the inches of a legend, which matplotlib fills by columns."""
    filled = [of for of in np.array_split(list(labels), columns) if len(of)]
    return sum(max(_height(label, TEXT) for label in row) for row in zip_longest(*filled, fillvalue=""))


def _characters(width: float, size: float) -> int:
    """Return how many characters of prose fit into inches, at a size in points."""
    return int((width - 2 * PAD) * 72 / (0.52 * size))


def _width(labels: Sequence[str]) -> float:
    """Return the inches that the longest line of labels may take."""
    return max((len(line) for label in labels for line in label.split("\n")), default=0) * 0.6 * TEXT / 72


def _height(text: str, size: float) -> float:
    """Return the inches that a text takes, at a size in points, and the space below it."""
    return (1.25 * (text.count("\n") + 1) + 0.5) * size / 72
