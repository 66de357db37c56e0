"""The tables of a report: what a run's CSV files hold, as rows of text that also know how they are sorted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from irmbench.analysis.decomposition import PARTS
from irmbench.analysis.published import FAR
from irmbench.analysis.standings import ALL
from irmbench.analysis.statistics import LEVEL
from irmbench.analysis.tables import CAPTION, ROW, n_words
from irmbench.suite import Selection
from irmbench.views import formats
from irmbench.views.selection import beside, selection_view

NONE = "–"


@dataclass(frozen=True)
class Cell:
    """A cell: its text, the number it is sorted by if not by that, what stands below, and whether it is bold."""

    text: str
    order: float | None = None
    below: str = ""
    strong: bool = False


Row = dict[str, Cell]  # by the heads of columns


@dataclass(frozen=True)
class ReportTable:
    """A table of the report, its first column naming its rows.

    Attributes:
        id: of its element.
        title, note: what it is, and what its numbers are.
        rows: all with the same columns.
        folded: whether it is closed at first.

    """

    id: str
    title: str
    note: str
    rows: list[Row]
    folded: bool = False

    @property
    def columns(self) -> dict[str, bool]:
        """The heads of the columns, and whether they hold numbers."""
        return {head: any(row[head].order is not None for row in self.rows) for head in self.rows[0]}


def result_tables(folder: Path, selection: Selection) -> list[ReportTable]:
    """Return the tables that a run's folder has files for."""
    makers: dict[str, Callable[[pd.DataFrame], Iterator[ReportTable]]] = {
        "leaderboard": _leaderboard,
        "standings": _standings,
        "selection": lambda selected: _selection(selected, selection),
        "comparison": _comparison,
        "decomposition": _decomposition,
    }
    files = {name: folder / f"{name}.csv" for name in makers}
    return [table for name, file in files.items() if file.exists() for table in makers[name](_read(file))]


def _read(file: Path) -> pd.DataFrame:
    """Return a CSV in which a name may be any text, "nan" too, and only numbers may be missing."""
    table = pd.read_csv(file, keep_default_na=False, na_values=[""], dtype={"left_out": str, "environment": str})
    texts = table.select_dtypes(exclude=["number", "bool"]).columns
    return table.assign(**{column: table[column].fillna("").astype(str) for column in texts})


def number(value: float, form: str = ".3g") -> Cell:
    """Return a number's cell; of one that is missing, a dash."""
    return Cell(NONE) if pd.isna(value) else Cell(f"{value:{form}}", float(value))


def estimate(value: float, low: float, high: float, strong: bool = False) -> Cell:
    """Return the cell of an estimate and of its interval, if it has one."""
    interval = "" if pd.isna(low) else f"[{low:.3f}, {high:.3f}]"
    return Cell(NONE) if pd.isna(value) else Cell(f"{value:.3f}", float(value), interval, strong)


def _leaderboard(board: pd.DataFrame) -> Iterator[ReportTable]:
    note = f"{CAPTION} {n_words(board.loc[board['n'] > 0, 'n'])}. Seconds: a trial's part of its batch, median."
    title = "Leaderboard: distance to the causal coefficients (0: recovered, 1: as far as zero)"
    most = board.groupby(["solver", "assumption_class"])["datasets"].transform("max")
    rows = _by_class(board.assign(most=most), _distance, lambda of: {"seconds": number(of["seconds"].median(), ".2g")})
    yield ReportTable("leaderboard", title, note, rows)


def _distance(row: dict[Any, Any]) -> Cell:
    """Return a leaderboard's cell: the distance, and what it leaves out."""
    failed = [f"{row['failed']} failed"] if row["failed"] else []
    if not row["n"]:
        return Cell(", ".join(failed) or "not applicable")
    few = [f"{row['datasets']} of {row['most']} datasets"] if row["datasets"] < row["most"] else []
    cell = estimate(row["distance"], row["low"], row["high"])
    estimator = "median" if row["estimator"] == "median" else ""
    return replace(cell, below=", ".join(filter(None, [cell.below, estimator, *few, *failed])))


def _by_class(
    table: pd.DataFrame, cell: Callable[[dict[Any, Any]], Cell], more: Callable[[pd.DataFrame], Row]
) -> list[Row]:
    """Return a row per method and solver with a cell for each class of assumptions, that over all classes first."""
    classes = sorted(table["assumption_class"].unique(), key=lambda name: (name != ALL, name))
    rows = []
    for (solver, label, solved_by), of in table.groupby(ROW, sort=False):
        cells = {row["assumption_class"]: cell(row) for row in of.to_dict("records")}
        named = {"method": Cell(str(label)), "solver": Cell(str(solver)), "solved by": Cell(str(solved_by))}
        rows.append(named | more(of) | {name: cells.get(name, Cell(NONE)) for name in classes})
    return rows


def _standings(table: pd.DataFrame) -> Iterator[ReportTable]:
    n = n_words(table["n"])
    interval = f"{LEVEL:.0%} bootstrap interval"
    note = (
        "Skill: 1 - distance / distance of erm on the same dataset and data seed (1: recovered, 0: as far as erm); "
        f"interquartile mean over datasets and data seeds, and {interval}; {n} data seeds. In bold: the least median "
        "distance of its solver and class, oracles aside; ≈: not significantly farther than that (Wilcoxon "
        f"signed-rank, Holm-adjusted, p ≥ {1 - LEVEL:.2g}; n seeds show no p below 2^(1 - n))."
    )
    rows = _by_class(table, _skill, lambda of: {})
    yield ReportTable("standings", "Standings: skill over ERM", note, rows)
    note = (
        f"Distance: median over datasets and data seeds; skill: interquartile mean; {interval}s; {n} data seeds. "
        "Improvement: probability of a smaller distance than erm's on the same data. p: Wilcoxon signed-rank test over "
        "data seeds, Holm-adjusted within a solver and class; effect: rank-biserial correlation, above 0 where closer "
        "to the causes. Rank: mean over dataset families. applicable, failed: trials."
    )
    yield ReportTable("standings-tests", "Standings in full", note, [*map(_standing, table.to_dict("records"))], True)


def _skill(row: dict[Any, Any]) -> Cell:
    cell = estimate(row["skill_iqm"], row["skill_low"], row["skill_high"], row["best"])
    return replace(cell, text=f"≈ {cell.text}") if row["tied"] and not row["best"] else cell


def _standing(row: dict[Any, Any]) -> Row:
    estimates = {"distance": "distance_median", "skill": "skill_iqm", "improvement": "improvement"}
    numbers = ("rank", "p_erm", "effect_erm", "p_best", "effect_best")
    counts = ("datasets", "n", "applicable", "failed")
    return (
        {name.replace("_", " "): Cell(row[name]) for name in ("method_label", *ROW[::2], "assumption_class")}
        | {name: estimate(row[of], row[f"{name}_low"], row[f"{name}_high"]) for name, of in estimates.items()}
        | {name.replace("_", " "): number(row[name]) for name in numbers}
        | {name: number(row[name], ",.0f") for name in counts}
    )


def _selection(selected: pd.DataFrame, selection: Selection) -> Iterator[ReportTable]:
    view = selection_view(selected, selection.scores)
    for i, table in enumerate(view.tables):
        rows = [dict(zip(table.columns, map(_shown, row), strict=True)) for row in table.sections[""]]
        yield ReportTable(f"selection-{i}", f"{view.title}: {table.title}", view.note, rows)


def _shown(cell: formats.Cell) -> Cell:
    return replace(_text(cell.text), below=cell.interval)


def _comparison(compared: pd.DataFrame) -> Iterator[ReportTable]:
    note = (
        "Means ± standard deviations over data seeds. Distance: difference of the means in combined standard errors, "
        f"rounding of the print among them; {(~compared['far']).sum()} of {len(compared)} cells are within {FAR:g}."
    )
    rows = _texts(beside(compared).assign(selected=compared["protocol"], source=compared["source"]))
    yield ReportTable("comparison", "Beside the published tables", note, rows)


def _texts(table: pd.DataFrame) -> list[Row]:
    """Return rows of a table of texts, sorted by the numbers that they begin with."""
    return [
        {str(head).replace("_", " "): _text(text) for head, text in row.items()} for row in table.to_dict("records")
    ]


def _text(text: str) -> Cell:
    value, _, below = text.partition(" ")
    try:
        return Cell(value, float(value), below)
    except ValueError:
        return Cell(text)


def _decomposition(parts: pd.DataFrame) -> Iterator[ReportTable]:
    note = (
        "The distance under the official solver in three parts that add up to it: of the converged solution on the "
        "population (objective), what a sample adds (sample), what the official solver adds (optimiser). Means over "
        f"{n_words(parts['n'])} data seeds and {LEVEL:.0%} bootstrap intervals; in bold the largest part."
    )
    keys = ["method_label", "solved_by", "assumption_class", "dataset_label"]
    rows = []
    for key, of in parts.groupby(keys, sort=False):
        largest = of["value"].max()
        found = {row["part"]: row for row in of.to_dict("records")}
        named = {
            head: Cell(str(name)) for head, name in zip(("method", "solved by", "class", "dataset"), key, strict=True)
        }
        cells = {part: _part(found[part], largest) for part in PARTS}
        rows.append(named | cells | {"total": number(of["value"].sum(), ".3f")})
    yield ReportTable("decomposition", "Whose fault a miss is", note, rows)


def _part(row: dict[Any, Any], largest: float) -> Cell:
    return estimate(row["value"], row["low"], row["high"], row["value"] == largest)
