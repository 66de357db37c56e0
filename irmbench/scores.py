"""Scores of coefficients, as pure functions: distance to the causal ones, test risks, invariance.

Everything about coefficients is in unscrambled coordinates and split by an explicit causal mask: after unscrambling, a
coefficient that should be zero is one only up to rounding.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from irmbench.interface import Dataset, Method, Truth
from irmbench.moments import Examples, Moments
from irmbench.risks import Data, environments
from irmbench.streams import streamed

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
    target = truth.coefficients
    product, length = estimate @ target, estimate.norm()
    cosine = product / (length * target.norm()) if length > 0 else torch.zeros(())
    if scale_free and length > 0:
        estimate = estimate * (product / length**2).clamp(min=0)
    square = (estimate - target) ** 2
    return CoefficientScores(
        error_causal=_mean(square[truth.causal]),
        error_noncausal=_mean(square[~truth.causal]),
        distance=float((estimate - target).norm() / target.norm()),
        cosine=float(cosine),
    )


def unscramble(coefficients: Tensor, truth: Truth) -> Tensor:
    """Return observed coefficients [..., P] in unscrambled coordinates, without an intercept, [..., d]."""
    d = len(truth.coefficients)
    return coefficients[..., :d] @ truth.unscramble.mT


class Tester:
    """The test environments of one dataset and data seed: exact moments, or examples where there are none.

    The risk is the mean squared error, or under logistic loss the frequency of errors.
    """

    def __init__(self, dataset: Dataset, seed: int, truth: Truth) -> None:
        self._data = _test_data(dataset, seed)
        if dataset.network is None:
            self._oracle = empirical_risk(self._data, truth.observed(truth.coefficients, self._data.dimension))
        else:
            self._oracle = torch.tensor([dataset.irreducible_risk])

    def __call__(self, coefficients: Tensor) -> dict[str, float]:
        """Return the worst test environment's risk, and its excess over the causal coefficients' worst."""
        risk = empirical_risk(self._data, coefficients)
        worst = risk.max()
        return {"worst_test_risk": float(worst), "oracle_gap": float(worst - self._oracle.max())}


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


def invariance_residual(data: Data, coefficients: Tensor) -> float:
    """Return max_e |G_e| on training environments, in units of the mean squared target."""
    env = environments(data, IDENTITY, coefficients)
    square = data.target_square if isinstance(data, Moments) else data.targets.square().mean(-1)
    return float(env.scale_gradient.abs().max() / square.mean())


def score(coefficients: Tensor, data: Data, truth: Truth, tester: Tester, scale_free: bool) -> dict[str, float]:
    """Return every score of one trial's observed coefficients [P]; a network's are compared with nothing."""
    comparable = len(truth.coefficients) > 0
    return {
        **(asdict(score_coefficients(unscramble(coefficients, truth), truth, scale_free)) if comparable else {}),
        **tester(coefficients),
        "invariance_residual": invariance_residual(data, coefficients),
    }


def _mean(values: Tensor) -> float:
    return float(values.mean()) if len(values) else 0.0
