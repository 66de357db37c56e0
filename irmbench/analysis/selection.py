"""Hyper-parameters selected among a method's trials, by named protocols, and what the selected ones score.

    defaults              draw 0, whatever it scores
    training validation   the least risk on fresh examples of the training environments
    leave one out         the least risk on each training environment in turn, trained on the others
    last environment      the least risk on the last one, and no training on it afterwards
    oracle                the least risk on the test environments
    oracle coefficients   the least distance to the causal coefficients

A risk is the mean over environments. One candidate is selected for all data seeds, by the mean over them (Aubin et al.
2021, arXiv 2102.10867), or one for each seed (Arjovsky et al. 2019, arXiv 1907.02893, section 5.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from irmbench.analysis.candidates import ERRORS, KEY, Candidates, Selected, contests, has_candidates
from irmbench.analysis.statistics import LEVEL
from irmbench.interface import Array

COLUMNS = [*KEY, "protocol", "selected", "score", "environment", "mean", "sd", "median", "low", "high", "n"]
AVERAGE = "average"
USABLE = ("training validation", "leave one out", "last environment", "defaults")  # look at no truth and no test
CAPTION = (
    f"Mean over n data seeds and its {LEVEL:.0%} percentile bootstrap interval over seeds; every resample selects "
    "hyper-parameters anew."
)


def select(frame: pd.DataFrame, each_seed: bool = False) -> pd.DataFrame:
    """Return what selected hyper-parameters score, a row per dataset, method, protocol, score and environment.

    frame: trials as ``irmbench.load`` returns them; without draws or environments held out there are no rows. Scores
    are ``test_risk`` in every test environment, with its average over them, and the errors of coefficients. ``sd`` has
    1 / n; that of an average is the mean of the environments', as published tables have it. Columns: ``COLUMNS``.
    """
    rows = [row for key, candidates in _contests(frame) for row in _rows(key, candidates, each_seed)]
    return pd.DataFrame(rows, columns=COLUMNS)


def weigh(frame: pd.DataFrame, each_seed: bool = False) -> pd.DataFrame:
    """Return what every candidate scores, selected or not, a row each; methods with one candidate are left out.

    frame: as in `select`. Columns: ``KEY``, candidate, the means over seeds of test_risk (averaged over environments)
    and of the errors of coefficients, n (seeds with a result), and for every protocol the part of the seeds for which
    it selects the candidate, or where one is selected for all of them, the part of their resamples.
    """
    return pd.DataFrame([row for key, candidates in _contests(frame) for row in _weighed(key, candidates, each_seed)])


def _contests(frame: pd.DataFrame) -> Iterator[tuple[dict[str, str], Candidates]]:
    return contests(frame) if has_candidates(frame) else iter(())


def _weighed(key: dict[str, str], candidates: Candidates, each_seed: bool) -> Iterator[dict[str, Any]]:
    if not candidates.several:
        return
    scores = {
        name: values for (name, environment), values in _scores(candidates).items() if environment in ("", AVERAGE)
    }
    selected = {protocol: Selected(criterion, each_seed) for protocol, criterion in candidates.criteria.items()}
    for h, name in enumerate(candidates.names):
        found = {score: values[:, h][~np.isnan(values[:, h])] for score, values in scores.items()}
        means = {score: float(values.mean()) if len(values) else np.nan for score, values in found.items()}
        shares = {protocol: float(of.shares[h]) for protocol, of in selected.items() if of.possible}
        yield key | {"candidate": name} | means | {"n": len(found["distance"])} | shares


def _rows(key: dict[str, str], candidates: Candidates, each_seed: bool) -> Iterator[dict[str, Any]]:
    scores = _scores(candidates)
    for protocol, criterion in candidates.criteria.items():
        selected = Selected(criterion, each_seed)
        if not selected.possible:
            continue
        about = key | {"protocol": protocol, "selected": selected.described(candidates.names)}
        estimates = {of: selected.estimate(values) for of, values in scores.items() if not np.isnan(values).all()}
        if ("test_risk", AVERAGE) in estimates:
            spread = [row["sd"] for (name, of), row in estimates.items() if name == "test_risk" and of != AVERAGE]
            estimates["test_risk", AVERAGE]["sd"] = float(np.mean(spread))
        for (score, environment), row in estimates.items():
            yield about | {"score": score, "environment": environment} | row


def _scores(candidates: Candidates) -> dict[tuple[str, str], Array]:
    """Return every score by its name and environment, [S, H]."""
    risks = candidates.environments("test_risk")
    scores = {("test_risk", f"E{e}"): values for e, values in enumerate(risks)}
    if risks:
        scores["test_risk", AVERAGE] = np.mean(risks, axis=0)
    return scores | {(name, ""): candidates.score(name) for name in ERRORS}
