"""Figures of overall scores: a row per method and solver, a panel per class of assumptions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from irmbench import tables
from irmbench.plots_style import (
    DASHED,
    SMALL,
    Look,
    centres,
    draw_estimates,
    draw_legend,
    log_axis,
    looks_of,
    make_figure,
    n_words,
    name_rows,
    row_edges,
    rows_height,
    wrapped,
)

COLUMNS = 4  # panels side by side


def figures(frame: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Yield the figures that overall scores have."""
    if not len(frame) or not (frame["status"] == "ok").any():
        return
    board = tables.leaderboard(frame)
    caption = f"{tables.CAPTION} {n_words(board.loc[board['n'] > 0, 'n'])}. Dashed: zero coefficients."
    yield "leaderboard", _figure(board, "Distance to the causal coefficients", caption)


def _figure(board: pd.DataFrame, title: str, caption: str) -> Figure:
    panels = (board["assumption_class"].nunique(), COLUMNS)
    height = rows_height(row_edges(_labels(board)))
    return make_figure(partial(leaderboard, board), panels, height, title, caption)


def leaderboard(board: pd.DataFrame, axes: Sequence[Axes]) -> None:
    """Draw a table of ``tables.leaderboard``, an axes per assumption class, a row per method and solver."""
    looks = looks_of(board["solver"])
    labels = _labels(board)
    edges = row_edges(labels)
    board = board.assign(y=centres(edges)[board.groupby(tables.ROW, sort=False).ngroup()])
    for ax, (name, cells) in zip(axes, board.groupby("assumption_class"), strict=True):
        class_distances(cells, looks, ax)
        log_axis(ax, board[["distance", "low"]].min().min())
        name_rows(ax, labels, edges)
        ax.set(title=wrapped(str(name), 20), xlabel="relative distance")
    draw_legend(axes[min(COLUMNS, len(axes)) - 1], looks)


def class_distances(cells: pd.DataFrame, looks: dict[str, Look], ax: Axes) -> None:
    """Draw the distances to the causal coefficients in one class.

    Points are means over data seeds, lines their bootstrap intervals, dashed the distance of zero coefficients.
    """
    for solver, of in cells.groupby("solver"):
        draw_estimates(ax, of["y"], of["distance"], of["low"], of["high"], looks[str(solver)])
    for _, cell in cells[cells["n"] == 0].iterrows():
        reason = "failed" if cell["failed"] else "not applicable"
        ax.text(0.03, cell["y"], reason, transform=ax.get_yaxis_transform(), va="center", color="0.5", fontsize=SMALL)
    ax.axvline(1, **DASHED)


def _labels(board: pd.DataFrame) -> list[str]:
    rows = board[tables.ROW].drop_duplicates().itertuples(index=False)
    return [wrapped(method if by in ("Newton", "") else f"{method}, {by}", 30) for _, method, by in rows]
