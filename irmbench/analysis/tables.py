"""Tables of a run: the leaderboard per assumption class, and the trials as CSV."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from irmbench.analysis.statistics import LEVEL, mean_interval, median_interval

ROW = ["solver", "method_label", "solved_by"]
METHOD = ["assumption_class", "dataset_label", "method_label"]
CAPTION = (
    "||b - b*|| / ||b*||: mean over n data seeds (median where it says so: of estimators without a finite mean), each "
    f"the mean over the class's datasets, and its {LEVEL:.0%} percentile bootstrap interval over seeds. "
    "Hyper-parameters are the suite's, not selected."
)


def as_given(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the trials with hyper-parameters as given, not drawn, and trained on all environments where some are."""
    return on_all_environments(frame[frame["draw"] == 0] if "draw" in frame else frame)


def on_all_environments(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials without those that leave out an environment, where others of their method do not."""
    if "held_out" not in trials:
        return trials
    whole = trials["held_out"].isna()
    return trials[whole | ~whole.groupby([trials[column] for column in METHOD]).transform("any")]


def leaderboard(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row per method, solver and assumption class, the best mean rank over classes first.

    Columns: ``ROW``, assumption_class, distance, low, high, estimator (mean, or median of what is heavy-tailed), n
    (seeds), seconds (median, a trial's part of its batch), oracle, datasets, failed, not_applicable (trials).
    """
    cells = one_row_a_method(frame).groupby([*ROW, "assumption_class"], sort=False)
    table = pd.DataFrame([dict(zip([*ROW, "assumption_class"], key, strict=True)) | _cell(cell) for key, cell in cells])
    rank = table.groupby(["solver", "assumption_class"])["distance"].rank()
    mean_rank = table.assign(rank=rank).groupby(ROW)["rank"].transform("mean").fillna(np.inf)
    order = table.assign(mean_rank=mean_rank).sort_values(["solver", "mean_rank", "method_label"], kind="stable")
    return order.drop(columns="mean_rank")


def _cell(trials: pd.DataFrame) -> dict[str, Any]:
    applicable = trials[trials["status"] != "not_applicable"]
    # A seed with a failed trial does not count: the mean over what did not fail would be of easier datasets.
    per_seed = (
        applicable.assign(ok=applicable["status"] == "ok").groupby("data_seed").agg({"ok": "all", "distance": "mean"})
    )
    values = per_seed.loc[per_seed["ok"], "distance"].to_numpy(dtype=float)
    heavy = "heavy_tailed" in trials and bool(trials["heavy_tailed"].eq(True).any())
    distance, low, high = median_interval(values) if heavy else mean_interval(values)[:3]
    return {
        "distance": distance,
        "low": low,
        "high": high,
        "estimator": "median" if heavy else "mean",
        "n": len(values),
        "seconds": applicable["seconds"].median(),
        "oracle": bool((trials["family"] == "oracle").all()),
        "datasets": applicable["dataset_label"].nunique(),
        "failed": int((trials["status"] == "failed").sum()),
        "not_applicable": int((trials["status"] == "not_applicable").sum()),
    }


def n_words(counts: pd.Series) -> str:
    """Return ``n = 20`` or ``n = 3 to 20`` of counts, ``n = 0`` of none."""
    low, high = (counts.min(), counts.max()) if len(counts) else (0, 0)
    return f"n = {low}" if low == high else f"n = {low} to {high}"


def few_words(counts: pd.Series) -> str:
    """Return a warning where some tests of n data seeds cannot be significant at 5%: 2 / 2^n is not below."""
    return " Where n < 6 no difference can be significant." if (counts < 6).any() else ""


def one_row_a_method(frame: pd.DataFrame) -> pd.DataFrame:
    """Return trials, those that do not apply being as if solved like the method's others."""
    frame = frame.assign(distance=frame.get("distance", np.nan))
    solved = frame[frame["solved_by"] != ""].groupby(["solver", "method_label"])["solved_by"].first().to_dict()
    keys = zip(frame["solver"], frame["method_label"], frame["solved_by"], strict=True)
    return frame.assign(solved_by=[how or solved.get((solver, label), "") for solver, label, how in keys])


def trials_csv(frame: pd.DataFrame) -> str:
    """Return the trials as CSV, parameters and coefficients as JSON; trajectories stay in the records."""
    flat = frame.drop(columns=["trajectory", "schema", "made_by"], errors="ignore").copy()
    for column in flat.columns:
        flat[column] = [json.dumps(value) if isinstance(value, list | dict) else value for value in flat[column]]
    return flat.to_csv(index=False)
