"""Figures of overall scores: a row per method and solver, a panel per class of assumptions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from irmbench.analysis import tables
from irmbench.analysis.standings import ALL
from irmbench.analysis.statistics import LEVEL
from irmbench.plots.style import (
    DASHED,
    FLOOR,
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

COLUMNS = 5  # panels side by side
RUNS = f"over n data seeds and the class's datasets, and its {LEVEL:.0%} bootstrap interval, seeds resampled"
GIVEN = "Hyper-parameters are the suite's, not selected."


class Score(NamedTuple):
    """What a figure shows of a table: the columns of estimate and interval, words, and where a line is drawn."""

    columns: tuple[str, str, str]
    title: str
    label: str
    caption: str
    reference: float
    least: float  # what is below is drawn there
    logarithmic: bool = False


DISTANCE = Score(
    ("distance", "low", "high"),
    "Distance to the causal coefficients",
    "relative distance",
    f"{tables.CAPTION} {{n}}. Dashed: zero coefficients.",
    reference=1,
    least=FLOOR,
    logarithmic=True,
)
SKILL = Score(
    ("skill_iqm", "skill_low", "skill_high"),
    "Overall skill",
    "skill, IQM",
    "Skill: 1 - distance / distance of ERM on the same data; 1 is the causal coefficients, 0 (dashed) as far as ERM. "
    f"Interquartile mean {RUNS} within datasets. {{n}}. < : -1 or less, at the edge. {GIVEN}",
    reference=0,
    least=-1,
)
IMPROVEMENT = Score(
    ("improvement", "improvement_low", "improvement_high"),
    "Probability of improvement over ERM",
    "P(closer than ERM)",
    "Probability of a smaller distance to the causal coefficients than ERM's on the same data, ties counted half: mean "
    f"{RUNS} within datasets. {{n}}. Dashed: 1/2. {GIVEN}",
    reference=0.5,
    least=0,
)


def figures(leaderboard: pd.DataFrame, standings: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Yield figures of overall scores, of ``tables.leaderboard`` and ``standings.standings``; either may be empty."""
    if not len(leaderboard) or leaderboard["distance"].isna().all():
        return
    yield "leaderboard", _figure(leaderboard, DISTANCE)
    others = standings[standings["family"] != "oracle"] if len(standings) else standings
    if len(others) and (others["method_label"] != "erm").any() and others["skill_iqm"].notna().any():
        yield "skill", _figure(standings, SKILL)
        yield "improvement", _figure(standings, IMPROVEMENT)


def _figure(table: pd.DataFrame, score: Score) -> Figure:
    panels = (table["assumption_class"].nunique(), COLUMNS)
    caption = score.caption.format(n=n_words(table.loc[table[score.columns[0]].notna(), "n"]))
    height = rows_height(row_edges(_labels(table)))
    return make_figure(partial(scores, table, score=score), panels, height, score.title, caption)


def scores(table: pd.DataFrame, axes: Sequence[Axes], score: Score) -> None:
    """Draw a score of a table with ``tables.ROW`` and assumption_class, an axes per class, all together first."""
    looks, labels = looks_of(table["solver"]), _labels(table)
    edges = row_edges(labels)
    table = table.assign(y=centres(edges)[table.groupby(tables.ROW, sort=False).ngroup()])
    classes = sorted(table["assumption_class"].unique(), key=lambda name: (name != ALL, name))
    for ax, name in zip(axes, classes, strict=True):
        class_scores(table[table["assumption_class"] == name], score, looks, ax)
        if score.logarithmic:
            log_axis(ax, table[list(score.columns)].min().min())
        name_rows(ax, labels, edges)
        ax.set(title=wrapped(name, 17), xlabel=score.label)
    draw_legend(axes[min(COLUMNS, len(axes)) - 1], looks)


def class_scores(cells: pd.DataFrame, score: Score, looks: dict[str, Look], ax: Axes) -> None:
    """Draw a score in one class, at the heights ``y``: estimates, intervals, at its edge what lies beyond."""
    value, low, high = score.columns
    for solver, of in cells.groupby("solver"):
        look = looks[str(solver)]
        beyond = (of[value] < score.least) & (not score.logarithmic)
        within = of[~beyond]
        draw_estimates(ax, within["y"], within[value], within[low], within[high], look, score.least)
        ax.plot(np.full(beyond.sum(), score.least), of.loc[beyond, "y"], **{**look, "marker": "<"}, markersize=4)
    for _, cell in cells[cells[value].isna()].iterrows():
        if reason := "failed" if cell["failed"] else "" if cell.get("applicable") else "not applicable":
            text = ax.text(0.03, cell["y"], reason, transform=ax.get_yaxis_transform(), va="center")
            text.set(color="0.5", fontsize=SMALL)
    ax.axvline(score.reference, **DASHED)


def _labels(table: pd.DataFrame) -> list[str]:
    rows = table[tables.ROW].drop_duplicates().itertuples(index=False)
    return [wrapped(method if by in ("Newton", "") else f"{method}, {by}", 30) for _, method, by in rows]
