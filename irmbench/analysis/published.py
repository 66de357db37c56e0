"""Published tables beside one's own: cell by cell, in units of the standard errors of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from irmbench.analysis.candidates import KEY
from irmbench.suite import Experiment, Suite, load_suite

CELL = [*KEY, "protocol", "score", "environment"]
FAR = 3.0  # combined standard errors
FOLDER = Path(__file__).parents[1] / "data" / "published"


def published(suite: Suite) -> pd.DataFrame | None:
    """Return the published cells of a suite, means as printed, or None where none are known.

    Only of the experiments whose methods are run as the bundled suite has them: others are not what was published.
    """
    file = FOLDER / f"{suite.name}.csv"
    if not file.exists():
        return None
    cells = pd.read_csv(file, dtype={"left_out": str, "environment": str, "mean": str}, keep_default_na=False)
    bundled = {experiment.name: _protocol(experiment) for experiment in load_suite(suite.name).experiments}
    return cells[cells["method"].isin([of.name for of in suite.experiments if _protocol(of) == bundled.get(of.name)])]


def _protocol(experiment: Experiment) -> list[Any]:
    return [experiment.methods, experiment.solvers, experiment.draws, experiment.search, experiment.hold_out]


def compare(selected: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Return a row per published cell that the run has too: both means and sds, and their distance.

    selected: a table of ``selection.select``. ``distance`` is the difference of the means over the root of the summed
    squares of both standard errors sd / sqrt(n) and of what rounding to the printed digits adds, a unit over sqrt(12).
    The sd of an average over environments is the mean of theirs, as printed, at least the sd of the average itself.
    Columns: ``CELL``, published, published_sd, mean, sd, n, distance, far (beyond ``FAR``), source.
    """
    theirs = cells.rename(columns={"mean": "published", "sd": "published_sd", "n": "published_n"})
    both = theirs.merge(selected.drop(columns=["median", "low", "high", "selected"]), on=CELL)
    digits = np.array([len(text.partition(".")[2]) for text in both["published"]], dtype=float)
    both["published"] = both["published"].astype(float)
    squares = both["sd"] ** 2 / both["n"] + both["published_sd"] ** 2 / both["published_n"]
    combined = np.sqrt(squares.to_numpy(float) + 10.0 ** (-2 * digits) / 12)
    distance: pd.Series = (both["mean"] - both["published"]) / combined
    both = both.assign(distance=distance, far=~(distance.abs() <= FAR))
    return both[[*CELL, "published", "published_sd", "mean", "sd", "n", "distance", "far", "source"]]
