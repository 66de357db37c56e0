"""Scores of coefficients, as pure functions: distance to the causal ones, test risks, invariance.

Everything about coefficients is in unscrambled coordinates and split by an explicit causal mask: after unscrambling, a
coefficient that should be zero is one only up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property

import torch
from torch import Tensor
from torch.func import vmap

from irmbench.engine.risks import Data, environments
from irmbench.interface import Dataset, Method, Truth
from irmbench.moments import Examples, Moments, stack
from irmbench.runs.streams import streamed

IDENTITY = Method()  # its parameters are the coefficients


@dataclass(frozen=True)
class CoefficientScores:
    """Distances of estimated to causal coefficients.

    Attributes:
        error_causal: mean squared error over causal coordinates (Arjovsky et al. 2019, section 5.1); 0 of none.
        error_noncausal: the same over the others.
        distance: ||b - b*|| / ||b*||.
        cosine: of the angle between b and b*; 0 where b is 0.

    """

    error_causal: float
    error_noncausal: float
    distance: float
    cosine: float


def score_coefficients(estimate: Tensor, truth: Truth, scale_free: bool = False) -> CoefficientScores:
    """Return the scores of unscrambled coefficients [d]; up to the best positive factor if ``scale_free``."""
    compared = _compare(estimate, truth.coefficients, truth.causal, torch.tensor(scale_free))
    return CoefficientScores(*(float(value) for value in compared))


def _compare(estimate: Tensor, target: Tensor, causal: Tensor, scale_free: Tensor) -> tuple[Tensor, ...]:
    """Return the four scores [...] of coefficients [..., d], of which the mask ``causal`` tells the causes."""
    product, length, norm = (estimate * target).sum(-1), estimate.norm(dim=-1), target.norm(dim=-1)
    some = length > 0
    cosine = torch.where(some, product / torch.where(some, length * norm, 1.0), 0.0)
    factor = (product / torch.where(some, length, 1.0) ** 2).clamp(min=0)
    square = (torch.where((some & scale_free)[..., None], factor[..., None] * estimate, estimate) - target) ** 2
    means = [(square * of).sum(-1) / of.sum(-1).clamp(min=1) for of in (causal, ~causal)]
    return *means, square.sum(-1).sqrt() / norm, cosine


def unscramble(coefficients: Tensor, truth: Truth) -> Tensor:
    """Return observed coefficients [..., P] in unscrambled coordinates, without an intercept, [..., d]."""
    d = len(truth.coefficients)
    return coefficients[..., :d] @ truth.unscramble.mT


class Tester:
    """The test environments of one dataset and data seed: exact moments, or examples where there are none.

    The risk is the mean squared error, or under logistic loss the frequency of errors.
    """

    def __init__(self, dataset: Dataset, seed: int, truth: Truth) -> None:
        self.data = _test_data(dataset, seed)
        self._irreducible = dataset.irreducible_risk if dataset.network is not None else None
        self.causes = truth.observed(truth.coefficients, self.data.dimension)

    @cached_property
    def oracle(self) -> float:
        """The causal coefficients' worst risk; of a network the one that is irreducible."""
        if self._irreducible is not None:
            return self._irreducible
        return float(_worst_risk(self.data, self.causes))

    def __call__(self, coefficients: Tensor) -> dict[str, float]:
        """Return the worst test environment's risk, and its excess over the causal coefficients' worst."""
        worst = float(_worst_risk(self.data, coefficients))
        return {"worst_test_risk": worst, "oracle_gap": worst - self.oracle}


def _test_data(dataset: Dataset, seed: int) -> Data:
    moments = dataset.test_population(seed) if dataset.loss == "squared" else None
    if moments is None:
        moments = streamed(dataset, "testing", seed, "test")
    return dataset.test_sample(dataset.n, seed) if moments is None else moments


def empirical_risk(data: Data, coefficients: Tensor) -> Tensor:
    """Return the mean squared error per environment, or under logistic loss the frequency of errors, [E]."""
    if isinstance(data, Examples) and data.logistic:
        return zero_one_risk(data, coefficients)
    return environments(data, IDENTITY, coefficients).risk


def zero_one_risk(examples: Examples, coefficients: Tensor) -> Tensor:
    """Return the frequency of classification errors per environment, [E], of coefficients [P]."""
    return ((examples.predict(coefficients) > 0) != (examples.targets > 0.5)).double().mean(-1)


def _worst_risk(data: Data, coefficients: Tensor) -> Tensor:
    return empirical_risk(data, coefficients).max()


def invariance_residual(data: Data, coefficients: Tensor) -> Tensor:
    """Return max_e |G_e| on training environments, in units of the mean squared target."""
    env = environments(data, IDENTITY, coefficients)
    square = data.target_square if isinstance(data, Moments) else data.targets.square().mean(-1)
    return env.scale_gradient.abs().max() / square.mean()


def score(
    coefficients: Tensor, data: list[Data], truths: list[Truth], testers: list[Tester], scale_free: list[bool]
) -> dict[str, list[float]]:
    """Return every score of observed coefficients [T, P] of T trials; a network's are compared with nothing."""
    tests = [tester.data for tester in testers]
    worst = _each(_worst_risk, tests, coefficients)
    causes = [tester.causes for tester in testers]
    at_once = all(isinstance(of, Moments) for of in tests)
    oracles = _each(_worst_risk, tests, torch.stack(causes)) if at_once else [tester.oracle for tester in testers]
    return {
        **(_distances(coefficients, truths, scale_free) if len(truths[0].coefficients) else {}),
        "worst_test_risk": worst,
        "oracle_gap": [risk - oracle for risk, oracle in zip(worst, oracles, strict=True)],
        "invariance_residual": _each(invariance_residual, data, coefficients),
    }


def _distances(coefficients: Tensor, truths: list[Truth], scale_free: list[bool]) -> dict[str, list[float]]:
    target = torch.stack([truth.coefficients for truth in truths])
    causal = torch.stack([truth.causal for truth in truths])
    rotation = torch.stack([truth.unscramble for truth in truths])
    estimate = (rotation @ coefficients[:, : target.shape[1], None])[..., 0]
    compared = _compare(estimate, target, causal, torch.tensor(scale_free))
    return {f.name: of.tolist() for f, of in zip(fields(CoefficientScores), compared, strict=True)}


def _each(function: Callable[[Data, Tensor], Tensor], data: list[Data], coefficients: Tensor) -> list[float]:
    """Return a function of each trial's data and coefficients; where all are moments of one kind, at one go."""
    kinds = {(of.second.shape, of.intercept, of.population) if isinstance(of, Moments) else None for of in data}
    if len(kinds) > 1 or None in kinds:
        return [float(function(of, at)) for of, at in zip(data, coefficients, strict=True)]
    stacked = stack(data)
    at_once = vmap(lambda tensors, at: function(stacked.with_tensors(*tensors), at))
    found: list[float] = at_once(stacked.tensors, coefficients).tolist()
    return found
