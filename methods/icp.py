"""ICP: the inputs that are in every subset whose residuals are alike in all environments."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from irmbench.interface import Dataset, Moments, Solver, Tolerance, hyper
from irmbench.subsets import EXACT, SubsetMethod, all_subsets, least_squares, leave_one_out
from irmbench.tails import f_two_sided, student_two_sided

ALPHA = {"r": 0.01, "causalicp": 0.05, "irm_paper": 0.05, "eills": 0.9}


@dataclass(frozen=True)
class ICP(SubsetMethod):
    """S* = intersection of all S with p_S > alpha; then pooled least squares on S*.

    p_e = 2 min(t, F): of Welch's t-test that the residuals of pooled least squares on S have one mean in environment e
    and in the rest, and of the two-sided F-test that they have one variance. With q = min_e p_e, p_S is by variant

    - r (InvariantCausalPrediction), causalicp: min(1, (E - 1) q), with an intercept;
    - irm_paper: E q, without an intercept, the empty set not tested; on scrambled inputs too;
    - eills: the same less 1, as published code has it (a slip of precedence, hence levels near 1).

    Where no subset is accepted S* is empty, for causalicp undefined. On a population the tests are exact: p_S is
    1 where means and variances agree across environments to 1e-8 of the residuals' (root) mean square, 0 elsewhere.
    """

    paper = "Peters, Buehlmann and Meinshausen 2016, arXiv 1501.01332, method II"
    family = "causal statistics"
    tolerates = Tolerance(y_noise_varies="no", hidden_confounding="no", anti_causal="yes", scrambled="no")

    alpha: float | None = hyper(None, f"level of the tests; if none, the variant's: {ALPHA}")
    variant: Literal["r", "causalicp", "irm_paper", "eills"] = hyper("r", "whose conventions")

    @property
    def problem(self) -> str | None:
        within = self.alpha is None or 0 <= self.alpha <= 1
        return None if within else f"alpha is a level, in [0, 1]; got {self.alpha:g}"

    def not_applicable(self, dataset: Dataset, solver: Solver) -> str | None:
        if self.variant == "irm_paper" and dataset.setting.scrambled:  # published, and what it finds is nothing
            return None
        return super().not_applicable(dataset, solver)

    def undefined(self, moments: Moments) -> str | None:
        reason = super().undefined(moments)
        if reason is None and self.variant == "causalicp" and not self.accepted(moments).any():
            return "no subset is accepted: the data contradict the model"
        return reason

    def seen(self, moments: Moments) -> Moments:
        return dataclasses.replace(moments, intercept=self._intercept)

    def fit(self, moments: Moments) -> Tensor:
        seen, accepted = self.seen(moments), self.accepted(moments)
        masks = all_subsets(seen)
        empty = masks[0]
        lacked = ((1 - masks) * accepted[:, None]).amax(0)
        found = torch.where(accepted.any(), 1 - lacked, empty)
        coefficients, _ = least_squares(seen, seen.share, found[None])
        # Where predictors have no intercept that of the regression is dropped, and the other way round it is 0.
        return torch.nn.functional.pad(coefficients[0], (0, moments.dimension - seen.dimension))

    def accepted(self, moments: Moments) -> Tensor:
        """Return whether each subset is accepted, bool [2^d], in the order of ``all_subsets``."""
        return self.p_values(moments) > (ALPHA[self.variant] if self.alpha is None else self.alpha)

    def p_values(self, moments: Moments) -> Tensor:
        """Return p_S of each subset, [2^d], in the order of ``all_subsets``; 0 of one that is not tested."""
        seen = self.seen(moments)
        masks = all_subsets(seen)
        coefficients, _ = least_squares(seen, seen.share, masks)
        mean, square = _residuals(seen, coefficients)
        if seen.population:
            p = _agree(mean, square, seen.share).double()
        else:
            p = self._combined(2 * _tests(mean, square, seen.count).amin(-1), seen.count.shape[0])
        return p if self._intercept else p * masks.amax(-1)

    def _combined(self, q: Tensor, environments: int) -> Tensor:
        if self._intercept:
            return ((environments - 1) * q).clamp(max=1)
        return environments * q - float(self.variant == "eills")

    @property
    def _intercept(self) -> bool:
        return self.variant in ("r", "causalicp")


def _residuals(moments: Moments, coefficients: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and mean square of y - x'b in every environment, [M, E] each, of coefficients [M, P]."""
    ends = (0, moments.second.shape[-1] - 1 - moments.dimension)
    of_all = torch.nn.functional.pad(torch.nn.functional.pad(-coefficients, ends), (0, 1), value=1.0)
    product = torch.einsum("mi,eij->mej", of_all, moments.second)
    return product[..., -2], (product * of_all[:, None]).sum(-1)


def _tests(mean: Tensor, square: Tensor, count: Tensor) -> Tensor:
    """Return the smaller p-value of t- and F-test of every environment against the rest, [M, E]."""
    others, rest = leave_one_out(count).mT, count.sum() - count
    rest_mean, rest_square = mean @ others, square @ others
    variance = (square - mean.square()) * count / (count - 1)
    rest_variance = (rest_square - rest_mean.square()) * rest / (rest - 1)
    error, rest_error = variance / count, rest_variance / rest
    degrees = (error + rest_error).square() / (error.square() / (count - 1) + rest_error.square() / (rest - 1))
    t = student_two_sided((mean - rest_mean) / (error + rest_error).sqrt(), degrees)
    return torch.minimum(t, f_two_sided(variance / rest_variance, count - 1, rest - 1))


def _agree(mean: Tensor, square: Tensor, share: Tensor) -> Tensor:
    """Return whether mean and variance are the same in all environments, bool [M]."""
    scale = square @ share
    variance = square - mean.square()
    apart = torch.maximum((mean.amax(-1) - mean.amin(-1)) ** 2 / EXACT, variance.amax(-1) - variance.amin(-1))
    return apart <= EXACT * scale
