"""The Python interface: run a suite, load a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from irmbench.changes import Changes
from irmbench.errors import UserError, suggest
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
    **changes: Any,
) -> pd.DataFrame:
    """Run or resume a suite, by name or TOML file, and return its trials as ``load`` does.

    ``out``, ``device``, ``workers`` and ``fresh`` are as in ``irmbench.runner.Options``; ``changes``, such as
    ``seeds=5`` or ``methods=["erm", "vrex"]``, are the fields of ``irmbench.changes.Changes``. Raises UserError on a
    suite, a name or a value that cannot be meant.
    """
    if device not in ("cpu", "cuda"):
        raise UserError(f"device: expected cpu or cuda, got {device!r}")
    if workers is not None and (not isinstance(workers, int) or workers < 1):
        raise UserError(f"workers: expected a whole number of at least 1, got {workers!r}")
    folder = None if out is None else Path(out)
    options = Options(folder, _changes(changes), device, workers, fresh)
    return _frame(run_suite(load_suite(str(suite)), options).records)


def _changes(given: dict[str, Any]) -> Changes:
    known = [field.name for field in dataclasses.fields(Changes)]
    for name in given:
        if name not in known:
            raise UserError(f"run: unknown option {name!r}.{suggest(name, known)} Changes: {', '.join(known)}")
    try:
        return msgspec.convert(given, Changes)
    except msgspec.ValidationError as error:
        raise UserError(f"run: {error}") from error


def load(folder: str | Path) -> pd.DataFrame:
    """Return the trials that a folder's last run asked for, one row each, with at least ``COLUMNS``.

    What was not recorded is missing. Coefficients are unscrambled. A trajectory is a list of ``[step, coefficients]``;
    step k is after k + 1 updates.
    """
    return _frame(asked_for(Path(folder)))


def _frame(records: list[Record]) -> pd.DataFrame:
    frame = pd.DataFrame(records)
    return frame.reindex(columns=[*COLUMNS, *frame.columns.difference(COLUMNS)])
