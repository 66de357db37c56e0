"""Whether records of the same trial, made by the same code, agree: a trial's numbers depend on nothing else."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from itertools import groupby
from typing import Any

import msgspec
import numpy as np
import pandas as pd

TOLERANCES = {"closed form": 1e-8}  # relative, by what solved a trial
TOLERANCE = 1e-6  # of all that is trained
Row = dict[Hashable, Any]
CODE = ("code", "irmbench", "python", "torch", "numpy", "scipy")  # of what made a record: not the machine


def disagreeing(repeated: pd.DataFrame) -> list[str]:
    """Return the ids of trials with results that differ by more than ``TOLERANCES``, among records of any trials.

    Compared are the coefficients, relative to the largest, or of a network the worst test risk; only of results by the
    same engine, plugins and libraries on the same kind of device.
    """
    found = (name for name in ("device", "plugins", "made_by", "coefficients", "worst_test_risk") if name in repeated)
    rows = repeated.loc[repeated["status"] == "ok", ["trial_id", "solved_by", *found]].to_dict("records")
    rows.sort(key=lambda row: row["trial_id"])
    return [trial_id for trial_id, same in groupby(rows, lambda row: row["trial_id"]) if _differ(list(same))]


def _differ(rows: list[Row]) -> bool:
    first: dict[bytes, Row] = {}
    return any(not _agree(first.setdefault(_made_by(row), row), row) for row in rows)


def _made_by(row: Row) -> bytes:
    made_by = row.get("made_by")
    versions = [made_by.get(name) for name in CODE] if isinstance(made_by, dict) else None
    return msgspec.json.encode([row.get("device"), row.get("plugins"), versions])


def _agree(one: Row, other: Row) -> bool:
    a, b = (np.array(list(_numbers(row)), dtype=float) for row in (one, other))
    if a.shape != b.shape:
        return False
    scale = max(np.abs(a).max(initial=0), np.abs(b).max(initial=0))
    return bool((np.abs(a - b) <= TOLERANCES.get(one["solved_by"], TOLERANCE) * scale).all())


def _numbers(row: Row) -> Iterator[float]:
    coefficients = row.get("coefficients")
    yield from coefficients if isinstance(coefficients, list) and coefficients else [row.get("worst_test_risk", 0.0)]
