"""What a run leaves for people: CSV tables and plots, rebuilt from its records and timings."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import torch

from irmbench.analysis.decomposition import decompose
from irmbench.analysis.published import compare, published
from irmbench.analysis.selection import select, weigh
from irmbench.analysis.standings import standings
from irmbench.analysis.tables import as_given, leaderboard, trials_csv
from irmbench.errors import writing
from irmbench.perf.timing import Case, time_penalty
from irmbench.runs.store import Record
from irmbench.suite import Selection, Suite, Timing
from irmbench.views.formats import markdown
from irmbench.views.selection import comparison_with_published, selection_view

TIMINGS = "penalty_timing.csv"


def write(folder: Path, records: list[Record] | pd.DataFrame, suite: Suite | None = None) -> None:
    """Write tables and plots/ of a run's records; of a suite that times the penalty, a plot of penalty_timing.csv too.

    trials.csv, leaderboard.csv and standings.csv always; decomposition.csv, and selection.csv, selection.md,
    candidates.csv and comparison.csv and .md, where the trials support them.
    """
    from irmbench.plots import figures  # seaborn: slow to import

    frame = pd.DataFrame(records)
    with writing(folder, "tables and plots", "the records are kept"):
        (folder / "trials.csv").write_text(trials_csv(frame), encoding="utf-8")
        board = leaderboard(as_given(frame))
        (folder / "leaderboard.csv").write_text(board.to_csv(index=False), encoding="utf-8")
        _write_table(folder / "standings.csv", stand := standings(frame))
        _write_table(folder / "decomposition.csv", parts := decompose(frame))
        selected = _write_selection(folder, frame, suite)
        each_seed = suite is not None and suite.selection.each_seed
        figures.save_all(
            figures.Results(frame, board, stand, parts, selected, _timings(folder, suite), each_seed), folder
        )


def _write_selection(folder: Path, frame: pd.DataFrame, suite: Suite | None) -> pd.DataFrame:
    """Write what selected hyper-parameters score, and how that compares with what is published; return what to draw."""
    selection = Selection() if suite is None else suite.selection
    selected = select(frame, selection.each_seed)
    cells = published(suite) if suite is not None else None
    compared = compare(selected, cells) if cells is not None else selected[:0]
    _write_table(folder / "selection.csv", selected)
    _write_table(folder / "candidates.csv", weigh(frame, selection.each_seed))
    _write_table(folder / "comparison.csv", compared)
    _write_text(folder / "selection.md", markdown(selection_view(selected, selection.scores)) if len(selected) else "")
    _write_text(folder / "comparison.md", markdown(comparison_with_published(compared)) if len(compared) else "")
    return selected[selected["score"].isin(selection.scores)]


def _timings(folder: Path, suite: Suite | None) -> pd.DataFrame:
    """Return what a suite has timed so far."""
    asked = suite is not None and suite.timing is not None
    return pd.read_csv(folder / TIMINGS) if asked and (folder / TIMINGS).exists() else pd.DataFrame()


def _write_table(path: Path, table: pd.DataFrame) -> None:
    _write_text(path, table.to_csv(index=False) if len(table) else "")


def _write_text(path: Path, text: str) -> None:
    """Write a text, or of an empty one delete what an earlier run wrote."""
    if text:
        path.write_text(text, encoding="utf-8")
    else:
        path.unlink(missing_ok=True)


def time_penalties(timing: Timing, folder: Path) -> list[str]:
    """Time the penalty on every device present, write penalty_timing.csv, and return what to say of it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several wait for one another on a machine that does anything else, for milliseconds
    try:
        rows, notices = time_penalty(cases=[Case(*case) for case in timing.cases], pairs=timing.pairs)
    finally:
        torch.set_num_threads(threads)
    with writing(folder, "tables and plots", "the records are kept"):
        pd.DataFrame(rows).to_csv(folder / TIMINGS, index=False)
    return [*map(_timing_line, rows), *notices]


def _timing_line(row: dict[str, float | str]) -> str:
    return (
        f"penalty on {row['device']}, {row['environments']} x {row['n']:,} {row['dtype']}, {row['threads']} thread: "
        f"{row['seconds_fast']:.2e} s forward and backward, {row['speedup']:.1f}x as fast as double backward "
        f"[{row['speedup_lo']:.1f}, {row['speedup_hi']:.1f}], {row['pairs']} pairs, {row['confidence']:.0%} interval"
    )
