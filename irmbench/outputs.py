"""What a run leaves for people: CSV tables and plots, rebuilt from its records."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from irmbench.errors import UserError
from irmbench.store import Record
from irmbench.tables import leaderboard, trials_csv


def write(folder: Path, records: list[Record]) -> None:
    """Write trials.csv, leaderboard.csv and plots/ of a run's records."""
    from irmbench import plots  # seaborn: slow to import, and only runs draw

    frame = pd.DataFrame(records)
    try:
        (folder / "trials.csv").write_text(trials_csv(frame), encoding="utf-8")
        (folder / "leaderboard.csv").write_text(leaderboard(frame).to_csv(index=False), encoding="utf-8")
        plots.save_all(frame, folder)
    except OSError as error:
        raise UserError(
            f"{folder}: tables and plots cannot be written: {error.strerror}; the records are kept"
        ) from error
