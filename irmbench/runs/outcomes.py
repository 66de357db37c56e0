"""What became of a trial: its coefficients, their scores, how well it was solved, and risks to select by."""

from __future__ import annotations

import math
from typing import Any

import torch

from irmbench.engine.descent import Fit
from irmbench.engine.risks import Data
from irmbench.interface import Truth
from irmbench.runs import sources
from irmbench.runs.scores import empirical_risk, score, unscramble
from irmbench.runs.sources import source
from irmbench.suite import Trial


def outcomes(trials: list[Trial], data: list[Data], fit: Fit) -> list[dict[str, Any]]:
    """Return the results of a batch, trial by trial: unscrambled coefficients, scores, and how well it was solved.

    Trials are those of the S rows of ``data`` by H draws, row by row; the fit's tensors are [S, H, ...].
    """
    draws = fit.coefficients.shape[1]
    keys = [source(trial) for trial in trials]
    truths = [sources.truth(key) for key in keys]
    scale_free = [sources.dataset(key.dataset, key.params).scale_free for key in keys]
    testers = [sources.tester(key) for key in keys[::draws] for _ in range(draws)]
    rows = [of for of in data for _ in range(draws)]
    columns = score(fit.coefficients.flatten(0, 1), rows, truths, testers, scale_free)
    if fit.gradient_norm is not None and fit.objective is not None:
        columns |= {
            "gradient_norm": fit.gradient_norm.flatten().tolist(),
            "objective": fit.objective.flatten().tolist(),
        }
    return [
        _outcome(
            trial, rows[i].intercept, truths[i], fit, divmod(i, draws), {name: of[i] for name, of in columns.items()}
        )
        for i, trial in enumerate(trials)
    ]


def _outcome(
    trial: Trial, intercept: bool, truth: Truth, fit: Fit, at: tuple[int, int], numbers: dict[str, float]
) -> dict[str, Any]:
    observed = fit.coefficients[at]
    coefficients = unscramble(observed, truth).tolist()  # none of a network
    wrong = [name for name, value in numbers.items() if not math.isfinite(value)]
    if wrong or not torch.isfinite(observed).all():
        return {"status": "failed", "error": f"not finite: {', '.join(['coefficients', *wrong])}, at {coefficients}"}
    known = {"truth": truth.coefficients.tolist(), "causal": truth.causal.tolist()}
    found = {"status": "ok", "coefficients": coefficients, **known, **numbers, **_held_out_risks(trial, observed)}
    if intercept:
        found["intercept"] = float(observed[-1])
    if fit.starts_at_best is not None:
        found["starts_at_best"] = int(fit.starts_at_best[at])
    if fit.trajectory:
        found["trajectory"] = [[step, unscramble(of[at], truth).tolist()] for step, of in fit.trajectory]
    return found


def _held_out_risks(trial: Trial, observed: torch.Tensor) -> dict[str, list[float]]:
    """Return the risks per environment that hyper-parameters are selected by, where a trial is there for that."""
    key = source(trial)
    data: dict[str, Data | None] = {}
    if trial.held_out is not None:
        data["held_out_risk"] = sources.held_out(key)
    if trial.validate:
        place = key.dataset, key.params, key.seed
        data["validation_risk"] = sources.fresh(*place, key.role, "validation")
        data["test_risk"] = sources.fresh(*place, "testing", "test risks")
    return {name: empirical_risk(of, observed).tolist() for name, of in data.items() if of is not None}
