"""The leaderboard as a person reads it in a terminal."""

from __future__ import annotations

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from irmbench.contract import Finding, Verdict
from irmbench.tables import CAPTION, n_words

STYLES: dict[Verdict, str] = {"ok": "green", "broken": "bold red", "not checked": "dim"}


def leaderboard_table(board: pd.DataFrame) -> Table:
    """Return a leaderboard with a row per method and solver and a column per assumption class."""
    classes = list(dict.fromkeys(board["assumption_class"].sort_values()))
    best = _best(board)
    board = board.assign(most=_most(board))
    title = "Distance to the causal coefficients (0: recovered, 1: as far as zero)"
    table = Table(title=title, caption=_caption(board), caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("method", overflow="fold", min_width=14)
    for name in classes:
        table.add_column(name, justify="right")
    for solver, of_solver in board.groupby("solver", sort=False):
        table.add_section()
        table.add_row(Text(str(solver), style="bold"))
        for (label, solved_by), rows in of_solver.groupby(["method_label", "solved_by"], sort=False):
            cells = {row["assumption_class"]: _cell(row, index in best) for index, row in rows.iterrows()}
            name = f"{label} ({solved_by}, {_milliseconds(rows)})" if solved_by else str(label)
            table.add_row(Text(name), *(cells.get(of_class, Text("")) for of_class in classes))
    return table


def findings_table(findings: list[Finding]) -> Table:
    """Return the verdicts of a contract suite."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for column in ("check", "verdict"):
        table.add_column(column, no_wrap=True)
    table.add_column("what was seen", overflow="fold")
    for finding in findings:
        table.add_row(finding.check, Text(finding.verdict, style=STYLES[finding.verdict]), Text(finding.detail))
    return table


def _most(board: pd.DataFrame) -> pd.Series:
    """Return, for every row, the most datasets that a method of its solver has in its class."""
    return board.groupby(["solver", "assumption_class"])["datasets"].transform("max")


def _milliseconds(rows: pd.DataFrame) -> str:
    milliseconds = 1e3 * rows["seconds"].mean()
    return f"{milliseconds:.0f} ms" if milliseconds >= 1 else f"{milliseconds:.1f} ms"


def _best(board: pd.DataFrame) -> set[int]:
    """Return the index of the best row of every solver and class, oracles aside."""
    competing = board[~board["oracle"] & (board["datasets"] == _most(board))].dropna(subset=["distance"])
    return set(competing.groupby(["solver", "assumption_class"])["distance"].idxmin())


def _cell(row: pd.Series, best: bool) -> Text:
    if row["n"] == 0:
        return Text(f"{row['failed']} failed" if row["failed"] else "n/a", style="red" if row["failed"] else "dim")
    cell = Text(f"{row['distance']:.3f}", style="bold green" if best else "")
    if not pd.isna(row["low"]):
        cell.append(f" {row['low']:.3f}–{row['high']:.3f}", style="dim")
    if row["estimator"] == "median":
        cell.append(" median", style="yellow")
    if row["datasets"] < row["most"]:
        cell.append(f" {row['datasets']} of {row['most']} datasets", style="yellow")
    if row["failed"]:
        cell.append(f" {row['failed']} failed", style="red")
    return cell


def _caption(board: pd.DataFrame) -> str:
    seeds = n_words(board.loc[board["n"] > 0, "n"])
    return f"{CAPTION} {seeds}. n/a: not applicable. In bold: the best of each column, oracles aside."
