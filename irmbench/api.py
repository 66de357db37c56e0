"""The Python interface: run a suite, load a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from irmbench.errors import UserError
from irmbench.runs.loading import Contents, contents

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
    allow_code: Sequence[str] = (),
    **changes: Any,
) -> pd.DataFrame:
    """Run or resume a suite, by name or TOML file, and return its trials as ``load`` does.

    ``out``, ``device``, ``workers``, ``fresh``, ``executor`` and ``allow_code`` are as in ``irmbench.runner.Options``.
    A trial may take ``time_limit`` seconds and ``memory_limit`` MiB. ``changes``, such as ``seeds=5`` or
    ``methods=["erm", "vrex"]``, are the fields of ``irmbench.changes.Changes``. Raises UserError on a suite, a name or
    a value that cannot be meant.
    """
    from irmbench.changes import Changes  # what runs is slow to import, and loading needs none of it
    from irmbench.runner import Options, run_suite
    from irmbench.runs.limits import Limits
    from irmbench.suite import load_suite

    if device not in ("cpu", "cuda"):
        raise UserError(f"device: expected cpu or cuda, got {device!r}")
    if workers is not None and (not isinstance(workers, int) or workers < 1):
        raise UserError(f"workers: expected a whole number of at least 1, got {workers!r}")
    try:
        checked = msgspec.convert(dataclasses.asdict(Changes(**changes)), Changes)
    except msgspec.ValidationError as error:
        raise UserError(f"run: {error}") from error
    folder, limits = None if out is None else Path(out), Limits(time_limit, memory_limit)
    options = Options(folder, checked, device, workers, fresh, executor, limits, tuple(allow_code))
    return _with_columns(run_suite(load_suite(str(suite)), options).contents)


def load(folders: str | Path | Sequence[str | Path]) -> pd.DataFrame:
    """Return the trials that the last run of a folder asked for, or of several; a row a trial, at least ``COLUMNS``.

    What was not recorded is missing. Coefficients are unscrambled. A trajectory is a list of ``[step, coefficients]``;
    step k is after k + 1 updates. Records that were copied into a folder since are in it too; of several records of a
    trial the last one counts. ``attrs["problems"]`` holds sentences on what is wrong: results that differ though the
    same code made them, torn lines, records by different versions of the code. Equal parameters are one object.
    """
    several = [folders] if isinstance(folders, str | Path) else folders
    return _with_columns(contents(*map(Path, several)))


def _with_columns(found: Contents) -> pd.DataFrame:
    frame = found.frame.reindex(columns=[*COLUMNS, *found.frame.columns.difference(COLUMNS)])
    frame.attrs["problems"] = found.problems
    return frame
