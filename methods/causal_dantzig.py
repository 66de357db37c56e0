"""Causal Dantzig: the inner product of inputs and residual is the same in all environments."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from irmbench.interface import CLOSED_FORM, Method, Moments, Tolerance, hyper
from irmbench.least_squares import RANK, about, complete, means, pooled


@dataclass(frozen=True)
class CausalDantzig(Method):
    """E_e[x (y - x'phi)] = b_e - A_e phi equal for all e, with A_e = E_e[x x'] [d, d] and b_e = E_e[x y] [d].

    - gmm: min over phi of sum_e ||(b_e - mean b) - (A_e - mean A) phi||^2;
    - one_vs_rest: mean_e (A_e - A_-e)^{-1} (b_e - b_-e), with A_-e and b_-e those of all other examples together.

    Of two environments, both are (A_1 - A_2)^{-1} (b_1 - b_2). Moments are not centred, so shifts of means help. Where
    predictors have an intercept, they are about the pooled means: as one more input, a one would have a contrast of
    nothing but sampling error wherever means do not shift.
    """

    paper = (
        "Rothenhäusler, Bühlmann and Meinshausen 2019, arXiv 1706.06159; gmm after Long, Zhu, Do and Ha 2023, "
        "doi 10.1214/23-ejs2160; one_vs_rest as hiddenICP of the R package InvariantCausalPrediction"
    )
    family = "causal statistics"
    tolerates = Tolerance(y_noise_varies="no", hidden_confounding="yes", anti_causal="yes")
    min_environments = 2
    official = CLOSED_FORM

    variant: Literal["gmm", "one_vs_rest"] = hyper("gmm", "how more than two environments are combined")

    @property
    def heavy_tailed(self) -> bool:
        return True  # a difference of moments may be arbitrarily near a singular matrix

    def fit(self, moments: Moments) -> Tensor:
        A, b, centre = self._contrasts(moments)
        inverse = torch.linalg.pinv(A, rtol=RANK)
        return complete((inverse @ b[..., None])[..., 0].mean(0), moments, centre)

    def undefined(self, moments: Moments) -> str | None:
        A, _, centre = self._contrasts(moments)
        scale = torch.linalg.matrix_norm(about(moments, centre)[:, :-1, :-1], 2).max()
        if (torch.linalg.svdvals(A)[:, -1] <= RANK * scale).any():
            return "environments differ in the second moments of too few inputs: their contrast is singular"
        return None

    def _contrasts(self, moments: Moments) -> tuple[Tensor, Tensor, Tensor]:
        """Return systems A phi = b, to be solved one by one, and what moments are about.

        One system [1, E d, d] (gmm), or E of them [E, d, d] (one_vs_rest).
        """
        mean = pooled(means(moments), moments)
        centre = mean if moments.intercept else torch.zeros_like(mean)
        second = about(moments, centre)
        if self.variant == "gmm":
            contrast = (second - second.mean(0))[:, :-1].flatten(0, 1)[None]
        else:
            # Against all examples instead of the rest: both sides are (N - n_e) / N times as large.
            contrast = (second - pooled(second, moments))[:, :-1]
        return contrast[..., :-1], contrast[..., -1], centre
