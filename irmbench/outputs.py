"""What a run leaves for people: CSV tables and plots, rebuilt from its records and timings."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import torch

from irmbench.decomposition import decompose
from irmbench.errors import writing
from irmbench.store import Record
from irmbench.suite import Timing
from irmbench.tables import leaderboard, trials_csv
from irmbench.timing import Case, time_penalty

TIMINGS = "penalty_timing.csv"


def write(folder: Path, records: list[Record], timings: bool = False) -> None:
    """Write trials.csv, leaderboard.csv and plots/ of a run's records, and with ``timings`` of penalty_timing.csv."""
    from irmbench import plots  # seaborn: slow to import

    frame = pd.DataFrame(records)
    with writing(folder, "tables and plots", "the records are kept"):
        (folder / "trials.csv").write_text(trials_csv(frame), encoding="utf-8")
        (folder / "leaderboard.csv").write_text(leaderboard(frame).to_csv(index=False), encoding="utf-8")
        (folder / "decomposition.csv").unlink(missing_ok=True)
        if len(parts := decompose(frame)):
            (folder / "decomposition.csv").write_text(parts.to_csv(index=False), encoding="utf-8")
        drawn = plots.save_all(frame, folder, pd.read_csv(folder / TIMINGS) if timings else None)
        for old in set((folder / "plots").glob("*.*")) - set(drawn):
            old.unlink()  # of an earlier run with more in it


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
