"""What became of a trial: its coefficients, their scores, how well it was solved, and risks to select by."""

from __future__ import annotations

import math
from typing import Any

import torch

from irmbench import sources
from irmbench.descent import Fit
from irmbench.risks import Data
from irmbench.scores import empirical_risk, score, unscramble
from irmbench.sources import source
from irmbench.suite import Trial


def outcome(trial: Trial, data: Data, fit: Fit, s: int, h: int) -> dict[str, Any]:
    """Return one trial's result: unscrambled coefficients, scores, and how well it was solved."""
    key = source(trial)
    observed, truth = fit.coefficients[s, h], sources.truth(key)
    scale_free = sources.dataset(key.dataset, key.params).scale_free
    numbers = score(observed, data, truth, sources.tester(key), scale_free)
    if fit.gradient_norm is not None and fit.objective is not None:
        numbers |= {"gradient_norm": float(fit.gradient_norm[s, h]), "objective": float(fit.objective[s, h])}
    coefficients = unscramble(observed, truth).tolist()  # none of a network
    wrong = [name for name, value in numbers.items() if not math.isfinite(value)]
    if wrong or not torch.isfinite(observed).all():
        return {"status": "failed", "error": f"not finite: {', '.join(['coefficients', *wrong])}, at {coefficients}"}
    known = {"truth": truth.coefficients.tolist(), "causal": truth.causal.tolist()}
    found = {"status": "ok", "coefficients": coefficients, **known, **numbers, **_held_out_risks(trial, observed)}
    if data.intercept:
        found["intercept"] = float(observed[-1])
    if fit.starts_at_best is not None:
        found["starts_at_best"] = int(fit.starts_at_best[s, h])
    if fit.trajectory:
        found["trajectory"] = [[step, unscramble(at[s, h], truth).tolist()] for step, at in fit.trajectory]
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
