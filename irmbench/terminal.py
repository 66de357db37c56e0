"""The leaderboard as a person reads it in a terminal."""

from __future__ import annotations

import pandas as pd
from rich.table import Table
from rich.text import Text

from irmbench.tables import CAPTION, ORACLES


def leaderboard_table(board: pd.DataFrame) -> Table:
    """Return a leaderboard with a row per method and solver and a column per assumption class."""
    classes = list(dict.fromkeys(board["assumption_class"].sort_values()))
    best = _best(board)
    table = Table(title="Who recovers the causal coefficients", caption=_caption(board), caption_justify="left")
    table.add_column("method")
    table.add_column("solved by")
    for name in classes:
        table.add_column(name, justify="right")
    for solver, of_solver in board.groupby("solver", sort=False):
        table.add_section()
        table.add_row(Text(str(solver), style="bold"))
        for (label, solved_by), rows in of_solver.groupby(["method_label", "solved_by"], sort=False):
            cells = {row["assumption_class"]: _cell(row, index in best) for index, row in rows.iterrows()}
            table.add_row(f"  {label}", str(solved_by), *(cells.get(name, Text("")) for name in classes))
    return table


def _best(board: pd.DataFrame) -> set[int]:
    """Return the index of the best row of every solver and class, oracles aside."""
    competing = board[~board["method_label"].isin(ORACLES)].dropna(subset=["distance"])
    return set(competing.groupby(["solver", "assumption_class"])["distance"].idxmin())


def _cell(row: pd.Series, best: bool) -> Text:
    if row["n"] == 0:
        return Text(f"{row['failed']} failed" if row["failed"] else "n/a", style="red" if row["failed"] else "dim")
    interval = "" if pd.isna(row["low"]) else f" [{row['low']:.3f},\u00a0{row['high']:.3f}]"
    failed = f" ({row['failed']} failed)" if row["failed"] else ""
    return Text(f"{row['distance']:.3f}{interval}{failed}", style="bold green" if best else "")


def _caption(board: pd.DataFrame) -> str:
    n = board.loc[board["n"] > 0, "n"]
    seeds = f"n = {n.min()}" if n.min() == n.max() else f"n = {n.min()} to {n.max()}"
    return f"{CAPTION} {seeds}. n/a: not applicable. Best of each column in bold, oracles aside."
