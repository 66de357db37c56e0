"""EILLS: the support whose residuals are uncorrelated with each of its inputs in every environment."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from irmbench.interface import Moments, Tolerance, hyper, log_uniform
from irmbench.subsets import SubsetMethod, all_subsets, in_chunks, least_squares, restricted_solve, row_of_least


@dataclass(frozen=True)
class EILLS(SubsetMethod):
    """min_b mean_e R_e(b) + gamma sum_{j: b_j != 0} mean_e E_e[x_j (y - x'b)]^2, over all supports S.

    On S the objective is quadratic: mean_e (A_e + gamma A_e A_e) b = mean_e (b_e + gamma A_e b_e), with A_e and b_e
    restricted to S. Published code halves the objective and leaves out mean_e E_e[y^2]. ``refit`` returns pooled least
    squares on the best S. ``l0`` adds 2 l0 log(d) E / N for every input of S; the published greedy search has l0 = 6,
    where the search here is exhaustive.
    """

    paper = "Fan, Fang, Gu and Zhang 2023, arXiv 2303.03092; code wmyw96/EILLS, methods/brute_force.py"
    family = "causal statistics"
    tolerates = Tolerance(y_noise_varies="yes", hidden_confounding="no", anti_causal="yes", scrambled="no")
    limit = {"gamma": 1e6}

    gamma: float = hyper(20.0, "what invariance weighs against the risk", search=log_uniform(0, 3), low=0)
    refit: bool = hyper(False, "whether to fit pooled least squares to the support found")
    l0: int = hyper(0, "what an input costs, in units of 2 log(d) E / N", low=0)

    def fit(self, moments: Moments) -> Tensor:
        coefficients, objective = self.candidates(moments)
        if not self.refit:
            return row_of_least(coefficients, objective)
        support = row_of_least(all_subsets(moments), objective)
        refitted, _ = least_squares(moments, moments.share, support[None])
        return refitted[0]

    def candidates(self, moments: Moments) -> tuple[Tensor, Tensor]:
        """Return each subset's coefficients [2^d, P] and objective [2^d], in the order of ``all_subsets``."""
        A, b, c = moments.gram, moments.cross, moments.target_square.mean()
        # A_e A_e restricted to S is sum_{k in S} of the products of A_e's columns k: masks times these.
        squares, products = torch.einsum("eik,ejk->kij", A, A) / len(A), torch.einsum("eik,ek->ki", A, b) / len(A)

        def solve(masks: Tensor) -> tuple[Tensor, Tensor]:
            gram = A.mean(0) + self.gamma * torch.tensordot(masks, squares, 1)
            phi = restricted_solve(gram, b.mean(0) + self.gamma * masks @ products, masks)
            correlation = b - torch.einsum("eij,mj->mei", A, phi)
            risk = c - (phi * (b.mean(0) + correlation.mean(1))).sum(-1)
            invariance = (correlation.square().mean(1) * masks).sum(-1)
            return phi, risk + self.gamma * invariance + self._sparsity(moments) * masks.sum(-1)

        coefficients, objective = in_chunks(solve, all_subsets(moments))
        return coefficients, objective

    def _sparsity(self, moments: Moments) -> Tensor | float:
        d, environments = moments.second.shape[-1] - 2, moments.count.shape[0]
        # A population is an infinite sample.
        return 0.0 if moments.population else 2 * self.l0 * math.log(d) * environments / moments.count.sum()
