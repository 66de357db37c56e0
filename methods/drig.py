"""DRIG: the risk of a reference environment, and how much larger the risks of the others are."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from irmbench.interface import (
    CLOSED_FORM,
    Dataset,
    Environments,
    Method,
    Moments,
    Solver,
    Tolerance,
    hyper,
    log_uniform,
)
from irmbench.least_squares import RANK, about, complete, means, slopes


@dataclass(frozen=True)
class DRIG(Method):
    """min R_0 + gamma sum_e w_e (R_e - R_0), with w_e = n_e / N (pooled) or 1 / E (balanced), and 0 the reference.

        phi = [A_0 + gamma sum_e w_e (A_e - A_0)]^{-1} [b_0 + gamma sum_e w_e (b_e - b_0)]

    with A_e = E_e[x x'] [P, P] and b_e = E_e[x y] [P]. gamma = 0 is least squares on the reference, 1 pooled least
    squares, and the limit the causal Dantzig of the mean contrast. There is no minimum where a large gamma meets a
    reference whose inputs vary more than the others' in some direction. An intercept is one more such direction where
    means shift, unless the reference's means are taken off.
    """

    paper = "Shen, Bühlmann and Taeb 2023, arXiv 2307.10299"
    family = "robust regression"
    tolerates = Tolerance(y_noise_varies="no", hidden_confounding="yes", anti_causal="yes")
    min_environments = 2
    ordered = True
    official = CLOSED_FORM
    limit = {"gamma": 1e8}

    gamma: float = hyper(5.0, "what the excess over the reference weighs", search=log_uniform(-1, 3), low=0)
    reference: int = hyper(0, "the index of the environment without interventions", low=0)
    weighting: Literal["pooled", "balanced"] = hyper("pooled", "weight of an environment: n_e / N, or 1 / E")
    centre: bool = hyper(False, "take the reference's means off inputs and target")

    @property
    def heavy_tailed(self) -> bool:
        return self.gamma > 1  # the reference's moments are taken off, and what is left may be nearly singular

    def objective(self, env: Environments) -> Tensor:
        if not self.centre:
            return self._robust(env.risk, env.share)
        residual = env.bias_gradient / 2  # E_e[x'phi - y], [E]
        mean = residual[self.reference]
        risk = self._robust(env.risk - 2 * mean * residual + mean**2, env.share)
        return risk + mean**2 if env.intercept else risk  # centring leaves the intercept open

    def fit(self, moments: Moments) -> Tensor:
        coefficients = slopes(self._robust(self._second(moments), moments.share))
        return complete(coefficients, moments, means(moments)[self.reference]) if self.centre else coefficients

    def undefined(self, moments: Moments) -> str | None:
        second = self._second(moments)[:, :-1, :-1]
        if self._excess(second, moments.share).abs().max() <= RANK * second.abs().max():
            return "the environments' second moments do not exceed the reference's, so there is nothing to weigh"
        if torch.linalg.eigvalsh(self._robust(second, moments.share))[0] <= 0:
            return f"no minimum at gamma = {self.gamma:g}: the reference's inputs vary more in some direction"
        return None

    def not_applicable(self, dataset: Dataset, solver: Solver) -> str | None:
        # Fewer than `min_environments` have been refused, so most references need no look at the dataset.
        if self.reference >= self.min_environments and self.reference >= (environments := _environments(dataset)):
            return f"reference {self.reference} is none of the {environments} environments, counted from 0"
        return "DRIG is for squared loss" if dataset.loss != "squared" else None

    def _second(self, moments: Moments) -> Tensor:
        """Return the moments [E, P + 1, P + 1] that phi is least squares on; without an intercept if centred."""
        if moments.intercept and not self.centre:
            return moments.second
        mean = means(moments)[self.reference]
        return about(moments, mean if self.centre else torch.zeros_like(mean))

    def _robust(self, values: Tensor, share: Tensor) -> Tensor:
        """Return the reference's of values [E, ...] and gamma times the others' excess over it."""
        return values[self.reference] + self.gamma * self._excess(values, share)

    def _excess(self, values: Tensor, share: Tensor) -> Tensor:
        weights = share if self.weighting == "pooled" else torch.full_like(share, 1 / len(share))
        excess: Tensor = torch.tensordot(weights, values - values[self.reference], 1)
        return excess


def _environments(dataset: Dataset) -> int:
    return dataset.sample(2, 0).targets.shape[0]
