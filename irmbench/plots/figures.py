"""Which figures a run has: one list, drawn and saved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from irmbench.analysis.tables import as_given
from irmbench.plots import (
    decomposition,
    errors,
    growth,
    landscape,
    profiles,
    risks,
    scores,
    selection,
    timing,
    trajectories,
    weights,
)
from irmbench.plots.style import save, styled


@dataclass(frozen=True)
class Results:
    """What there is to draw of a run; tables that it has not are empty.

    Attributes:
        trials: all of them, as ``irmbench.load`` returns them.
        leaderboard: the table of ``tables.leaderboard``.
        standings: the table of ``standings.standings``.
        parts: the table of ``decomposition.decompose``.
        selected: the table of ``selection.select``.
        timings: rows of ``timing.time_penalty``.
        each_seed: whether hyper-parameters are selected for each seed.

    """

    trials: pd.DataFrame = field(default_factory=pd.DataFrame)
    leaderboard: pd.DataFrame = field(default_factory=pd.DataFrame)
    standings: pd.DataFrame = field(default_factory=pd.DataFrame)
    parts: pd.DataFrame = field(default_factory=pd.DataFrame)
    selected: pd.DataFrame = field(default_factory=pd.DataFrame)
    timings: pd.DataFrame = field(default_factory=pd.DataFrame)
    each_seed: bool = False

    @property
    def given(self) -> pd.DataFrame:
        """The trials with hyper-parameters as given."""
        return as_given(self.trials) if len(self.trials) else self.trials


def figures(results: Results) -> Iterator[tuple[str, Figure]]:
    """Yield every figure that the results support, with its name; draw them within ``style.styled``."""
    given = results.given
    yield from scores.figures(results.leaderboard, results.standings)
    yield from profiles.figures(given)
    yield from errors.figures(given)
    if not len(results.selected):
        yield from risks.figures(given)
    yield from growth.figures(given)
    yield from weights.figures(results.trials, results.each_seed)
    yield from landscape.figures(given)
    yield from trajectories.figures(given)
    yield from timing.figures(results.timings)
    yield from decomposition.figures(results.parts)
    yield from selection.figures(results.selected, results.trials)


def save_all(results: Results, folder: Path) -> list[Path]:
    """Save the figures in ``folder``/plots, in all formats; return the files, and delete those of an earlier run."""
    plots = folder / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    with styled():
        drawn = tqdm(figures(results), desc="figures", bar_format="{desc}: {n} drawn", leave=False, disable=None)
        saved = [path for name, figure in drawn for path in save(figure, plots, name)]
    for old in set(plots.glob("*.*")) - set(saved):
        old.unlink()  # of an earlier run with more in it
    return saved
