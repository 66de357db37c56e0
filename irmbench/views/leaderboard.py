"""The leaderboard as a view, with what is best and what ties with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from irmbench.analysis.candidates import has_candidates
from irmbench.analysis.standings import ALL, standings
from irmbench.analysis.statistics import LEVEL
from irmbench.analysis.tables import ROW, as_given, few_words, n_words
from irmbench.suite import Selection, Suite
from irmbench.views.formats import Cell, Mark, Row, Table, View, decimals, interval
from irmbench.views.selection import usable_view

TITLE = "Distance to the causal coefficients (0: recovered, 1: as far as zero)"
NOTE = (
    "||b - b*|| / ||b*||: median over the class's datasets and n data seeds and, in brackets, its "
    f"{LEVEL:.0%} percentile bootstrap interval over seeds. rank: mean over dataset families of all classes. "
    "Hyper-parameters are the suite's, not selected. In parentheses: what solved it, and a trial's part of its batch's "
    "time, the median."
)
LEGEND: dict[Mark, str] = {
    "best": "the least median of its column on all the class's datasets, oracles aside",
    "tied": (
        "not significantly worse than that (Wilcoxon's signed-rank test over data seeds, Holm-adjusted within a solver "
        f"and class, at {1 - LEVEL:.0%})"
    ),
}


def run_view(frame: pd.DataFrame, suite: Suite | None) -> View:
    """Return what selected hyper-parameters score, or the leaderboard where there is nothing to select."""
    if has_candidates(frame):
        return usable_view(frame, Selection() if suite is None else suite.selection)
    return leaderboard_view(frame)


def leaderboard_view(frame: pd.DataFrame) -> View:
    """Return trials, as ``irmbench.load`` returns them, as a row per method and a column per assumption class."""
    board = standings(frame)
    applicable = as_given(frame).query("status != 'not_applicable'")
    board = board.join(applicable.groupby(ROW)["seconds"].median(), on=ROW)
    classes = sorted(set(board["assumption_class"]) - {ALL})
    most = board.groupby(["solver", "assumption_class"])["datasets"].transform("max")
    sections: dict[str, list[Row]] = {}
    for (solver, *_), rows in board.assign(most=most).groupby(ROW, sort=False):
        of_class = {row["assumption_class"]: row for row in rows.to_dict("records")}
        cells = (_cell(of_class[name]) if name in of_class else Cell("") for name in classes)
        sections.setdefault(str(solver), []).append((_label(of_class[ALL]), _rank(of_class[ALL]), *cells))
    counts = board.loc[board["n"] > 0, "n"]
    note = f"{NOTE} {n_words(counts)}.{few_words(counts)} n/a: not applicable."
    return View(TITLE, note, [Table(("method", "rank", *classes), sections)], board, LEGEND)


def _label(row: dict[Any, Any]) -> Cell:
    if not row["solved_by"]:
        return Cell(row["method_label"])
    return Cell(f"{row['method_label']} ({row['solved_by']}, {_duration(row['seconds'])})")


def _duration(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:,.{0 if seconds >= 10 else 1}f} s"
    return f"{1e3 * seconds:.{0 if seconds >= 1e-3 else 1}f} ms"


def _rank(row: dict[Any, Any]) -> Cell:
    return Cell("" if pd.isna(row["rank"]) else f"{row['rank']:.1f}")


def _cell(row: dict[Any, Any]) -> Cell:
    failed = (f"{row['failed']} failed",) if row["failed"] else ()
    if not np.isfinite(row["distance_median"]):
        return Cell(*failed, tone="bad") if failed else Cell("n/a", tone="quiet")
    lacking = (f"{row['datasets']} of {row['most']} datasets",) if row["datasets"] < row["most"] else ()
    mark: Mark = "best" if row["best"] else "tied" if row["tied"] else ""
    bounds = interval(row["distance_low"], row["distance_high"])
    return Cell(decimals(row["distance_median"]), bounds, lacking + failed, mark)
