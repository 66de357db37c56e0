"""Two runs side by side, as a view."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from irmbench.analysis.comparison import TOLERANCE, Pairs, compare_runs, origins, pair, unshared
from irmbench.analysis.statistics import LEVEL
from irmbench.analysis.tables import few_words, n_words
from irmbench.errors import UserError
from irmbench.runs.loading import trials_of
from irmbench.views.formats import Cell, Row, Table, Tone, View, decimals, interval

COLUMNS = ("method", "A", "B", "median of B - A", "mean of B - A", "p", "n", "verdict")
NOTE = (
    "A, B: medians of ||b - b*|| / ||b*|| over the class's datasets and data seeds. B - A: of n data seeds, each the "
    f"median over the class's datasets of paired differences, the median and the mean with {LEVEL:.0%} percentile "
    "bootstrap intervals; below 0, B is closer to the causes. A failure is at an infinite distance; the mean leaves it "
    "out. p: Wilcoxon's signed-rank test over data seeds, Holm-adjusted over the methods of a solver and class that "
    f"differ. same: no pair differs by more than {TOLERANCE:g}; better, worse: p < {1 - LEVEL:.2g}; unclear: neither. "
    "Hyper-parameters are the suite's, not selected."
)
TONES: dict[str, Tone] = {"better": "good", "worse": "bad", "unclear": "", "same": "quiet"}

SIGNED = partial(decimals, sign="+")


def folders_view(first: Path, second: Path) -> View:
    """Return the runs of two folders side by side."""
    return comparison_view(trials_of(first).frame, trials_of(second).frame, (str(first), str(second)))


def comparison_view(a: pd.DataFrame, b: pd.DataFrame, names: tuple[str, str]) -> View:
    """Return two runs, as ``irmbench.load`` returns them and called by their names, side by side.

    Raises UserError where they share no trial.
    """
    pairs = pair(a, b)
    if not len(pairs.both):
        raise UserError(f"{names[0]} and {names[1]} share no trial: {' '.join(_unshared(pairs))}")
    table = compare_runs(pairs)
    sections: dict[str, list[Row]] = {}
    for row in table.to_dict("records"):
        sections.setdefault(f"{row['solver']}: {row['assumption_class']}", []).append(_row(row))
    title = f"{names[1]} (B) beside {names[0]} (A), on the trials they share"
    facts = (_difference(origins(a), origins(b)), *_counts(pairs, table))
    note = f"{NOTE} {n_words(table['n'])}.{few_words(table['n'])}"
    return View(title, note, [Table(COLUMNS, sections)], table, facts=facts)


def _row(row: dict[Any, Any]) -> Row:
    label = f"{row['method_label']} ({row['solved_by']})" if row["solved_by"] else row["method_label"]
    p = "" if np.isnan(row["p"]) else "<0.001" if row["p"] < 0.001 else f"{row['p']:.3f}"
    return (
        Cell(label),
        *(Cell(decimals(row[f"distance_{run}"]), remarks=_failed(row[f"failed_{run}"])) for run in "ab"),
        *(_difference_cell(row, statistic) for statistic in ("median", "mean")),
        Cell(p),
        Cell(str(row["n"])),
        Cell(row["verdict"], tone=TONES[row["verdict"]]),
    )


def _difference_cell(row: dict[Any, Any], statistic: str) -> Cell:
    if row["verdict"] == "same":
        return Cell("0", tone="quiet")
    if np.isnan(row[statistic]):
        return Cell("")  # a mean of nothing but failures
    low, high = row[f"{statistic}_low"], row[f"{statistic}_high"]
    return Cell(SIGNED(row[statistic]), interval(low, high, SIGNED))


def _failed(trials: int) -> tuple[str, ...]:
    return (f"{trials} failed",) if trials else ()


def _counts(pairs: Pairs, table: pd.DataFrame) -> list[str]:
    """Return how many pairs there are, with which verdicts, and what only one run has."""
    counts = table["verdict"].value_counts()
    rows = ", ".join(f"{counts[verdict]} {verdict}" for verdict in TONES if verdict in counts)
    return [f"{len(pairs.both):,} pairs of trials; rows: {rows}.", *_unshared(pairs)]


def _unshared(pairs: Pairs) -> list[str]:
    both = (("A", pairs.only_a, pairs.only_b), ("B", pairs.only_b, pairs.only_a))
    return [
        f"Only in {name}, {len(only):,} of its trials: {'; '.join(unshared(only, pd.concat([pairs.both, other])))}."
        for name, only, other in both
        if len(only)
    ]


def _difference(a: dict[str, str], b: dict[str, str]) -> str:
    """Return in one sentence how what made two runs differs."""
    kinds = list(dict.fromkeys([*a, *b]))
    differing = [
        f"{kind} ({a.get(kind, 'unknown')} → {b.get(kind, 'unknown')})" for kind in kinds if a.get(kind) != b.get(kind)
    ]
    alike = [f"{kind} {a[kind]}" for kind in kinds if a.get(kind) == b.get(kind)]
    said = f"A → B: {', '.join(differing)}; the same" if differing else "Made by the same"
    return f"{said}: {', '.join(alike) or 'nothing else'}."
