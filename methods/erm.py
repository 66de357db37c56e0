"""ERM: the least risk on all environments together, with no regard to which example came from which."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from irmbench.interface import CLOSED_FORM, Environments, Method, Moments, Tolerance, hyper
from irmbench.least_squares import solve


@dataclass(frozen=True)
class ERM(Method):
    """min sum_e w_e R_e, with w_e = n_e / N (pooled) or 1 / E (balanced)."""

    paper = "Vapnik 1992, Principles of risk minimization for learning theory"
    family = "baseline"
    tolerates = Tolerance(y_noise_varies="yes")
    official = CLOSED_FORM

    weighting: Literal["pooled", "balanced"] = hyper("pooled", "weight of an environment: n_e / N, or 1 / E")

    def objective(self, env: Environments) -> Tensor:
        return (self._weights(env.share) * env.risk).sum()

    def fit(self, moments: Moments) -> Tensor:
        weights = self._weights(moments.share)
        gram, cross = (weights[:, None, None] * moments.gram).sum(0), (weights[:, None] * moments.cross).sum(0)
        return solve(gram, cross)

    def _weights(self, share: Tensor) -> Tensor:
        return share if self.weighting == "pooled" else torch.ones_like(share) / share.shape[0]
