"""The Python interface: run a suite, load a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from irmbench.changes import Changes
from irmbench.limits import Limits
from irmbench.provenance import asked_for
from irmbench.runner import Options, run_suite
from irmbench.store import Record
from irmbench.suite import load_suite

COLUMNS = [
    *("trial_id", "suite", "dataset", "dataset_label", "dataset_params", "assumption_class", "data_seed"),
    *("method", "method_label", "method_params", "draw", "solver", "solver_params", "solved_by", "status", "error"),
    *("error_causal", "error_noncausal", "distance", "cosine", "worst_test_risk", "oracle_gap"),
    *("invariance_residual", "gradient_norm", "objective", "seconds", "coefficients", "trajectory"),
]


def run(
    suite: str | Path,
    out: str | Path | None = None,
    *,
    device: str = "cpu",
    workers: int | None = None,
    fresh: bool = False,
    executor: str = "loky",
    time_limit: float | None = None,
    memory_limit: int | None = None,
    **changes: Any,
) -> pd.DataFrame:
    """Run or resume a suite, by name or TOML file, and return its trials as ``load`` does.

    ``out``, ``device``, ``workers``, ``fresh`` and ``executor`` are as in ``irmbench.runner.Options``; a trial may take
    ``time_limit`` seconds and ``memory_limit`` MiB; ``changes``, such as ``seeds=5`` or ``methods=["erm", "vrex"]``,
    are the fields of ``irmbench.changes.Changes``. Raises UserError on a suite, a name or a value that cannot be meant.
    """
    folder = None if out is None else Path(out)
    options = Options(folder, Changes(**changes), device, workers, fresh, executor, Limits(time_limit, memory_limit))
    return _frame(run_suite(load_suite(str(suite)), options).records)


def load(folder: str | Path) -> pd.DataFrame:
    """Return the trials that a folder's last run asked for, one row each, with at least ``COLUMNS``.

    What was not recorded is missing. Coefficients are unscrambled. A trajectory is a list of ``[step, coefficients]``;
    step k is after k + 1 updates.
    """
    return _frame(asked_for(Path(folder)))


def _frame(records: list[Record]) -> pd.DataFrame:
    frame = pd.DataFrame(records)
    return frame.reindex(columns=[*COLUMNS, *frame.columns.difference(COLUMNS)])
