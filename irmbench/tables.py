"""Tables of a run: the leaderboard per assumption class, and the trials as CSV."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from irmbench.statistics import LEVEL, mean_interval

ROW = ["solver", "method_label", "solved_by"]
ORACLES = ("oracle_beta", "oracle_parents")
CAPTION = (
    "||b - b*|| / ||b*||: mean over n data seeds, each the mean over the class's datasets, and its "
    f"{LEVEL:.0%} percentile bootstrap interval over seeds. Hyper-parameters are the suite's, not selected."
)


def leaderboard(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row per method, solver and assumption class, the best mean rank over classes first.

    Columns: ``ROW``, assumption_class, distance, low, high, n (seeds), datasets, failed, not_applicable (trials).
    """
    cells = frame.groupby([*ROW, "assumption_class"], sort=False)
    table = pd.DataFrame([dict(zip([*ROW, "assumption_class"], key, strict=True)) | _cell(cell) for key, cell in cells])
    rank = table.groupby(["solver", "assumption_class"])["distance"].rank()
    mean_rank = table.assign(rank=rank).groupby(ROW)["rank"].transform("mean").fillna(np.inf)
    order = table.assign(mean_rank=mean_rank).sort_values(["solver", "mean_rank", "method_label"], kind="stable")
    return order.drop(columns="mean_rank")


def _cell(trials: pd.DataFrame) -> dict[str, Any]:
    ok = trials[trials["status"] == "ok"]
    per_seed = ok.groupby("data_seed")["distance"].mean() if len(ok) else pd.Series(dtype=float)
    estimate = mean_interval(per_seed.to_numpy())
    return {
        "distance": estimate.mean,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
        "datasets": trials["dataset_label"].nunique(),
        "failed": int((trials["status"] == "failed").sum()),
        "not_applicable": int((trials["status"] == "not_applicable").sum()),
    }


def trials_csv(frame: pd.DataFrame) -> str:
    """Return the trials as CSV, parameters and coefficients as JSON; trajectories stay in the records."""
    flat = frame.drop(columns=["trajectory", "schema", "made_by"], errors="ignore").copy()
    for column in ("dataset_params", "method_params", "solver_params", "coefficients"):
        if column in flat:
            flat[column] = [json.dumps(value) if isinstance(value, list | dict) else "" for value in flat[column]]
    return flat.to_csv(index=False)
