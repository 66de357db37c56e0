"""Instrumental variables: the environment moves the inputs, and through them alone the target."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from irmbench.interface import CLOSED_FORM, Dataset, Method, Moments, Solver, Tolerance, hyper
from irmbench.least_squares import RANK, about, between, complete, means, pooled, rank, slopes


@dataclass(frozen=True)
class IV2SLS(Method):
    """The k-class phi = [B + (1 - kappa) W]^+ [b + (1 - kappa) w], the instruments being the environments' indicators.

    B is the covariance of the inputs' means over environments, W the covariance within them [d, d], b and w the
    same with y for the second x. By variant:

    - 2sls: kappa = 1, two-stage least squares;
    - liml: kappa = 1 + the smallest eigenvalue of W^{-1} B, both of (x, y); 1 unless E - 1 > d;
    - fuller: that less alpha / (N - E).

    Of L = E - 1 instruments and normal errors, 2sls has moments of orders up to L - d alone (Kinal 1980), liml has none
    (Mariano and Sawa 1972), and fuller has a mean (Fuller 1977).

    Not identified unless the inputs' means span all d dimensions, which takes d + 1 environments.
    """

    paper = "Theil 1953; Anderson and Rubin 1949 (liml); Fuller 1977, Some properties of a modification of liml"
    family = "instrumental variables"
    tolerates = Tolerance(y_noise_varies="yes", hidden_confounding="yes", anti_causal="yes")
    min_environments = 2
    official = CLOSED_FORM

    variant: Literal["2sls", "liml", "fuller"] = hyper("2sls", "the estimator")
    alpha: float = hyper(1.0, "Fuller's correction (variant fuller)", low=0)

    @property
    def heavy_tailed(self) -> bool:
        return self.variant != "fuller"  # 2sls has a mean where it is overidentified, and a median everywhere

    def fit(self, moments: Moments) -> Tensor:
        within, spread, centre = self._parts(moments)
        form = spread if self.variant == "2sls" else spread + (1 - self._kappa(within, spread, moments)) * within
        return complete(slopes(form, RANK), moments, centre)

    def undefined(self, moments: Moments) -> str | None:
        within, spread, _ = self._parts(moments)
        total, d = (within + spread)[:-1, :-1], len(spread) - 1
        spanned = rank(spread[:-1, :-1], total)
        if spanned < d:
            return f"the inputs' means span {spanned} of {d} dimensions, which leaves coefficients open"
        return None

    def not_applicable(self, dataset: Dataset, solver: Solver) -> str | None:
        if not dataset.setting.mean_shift:
            return "the environment is no instrument here: it does not shift the inputs' means"
        return None

    def _parts(self, moments: Moments) -> tuple[Tensor, Tensor, Tensor]:
        """Return W and B of (x, y), both [d + 1, d + 1], and the pooled mean [d + 1]."""
        centre = pooled(means(moments), moments)
        spread = between(moments, centre)
        return pooled(about(moments, centre), moments) - spread, spread, centre

    def _kappa(self, within: Tensor, spread: Tensor, moments: Moments) -> Tensor:
        values, vectors = torch.linalg.eigh(within)
        whiten = vectors * values.clamp(min=RANK * values[-1]).rsqrt()
        liml: Tensor = 1 + torch.linalg.eigvalsh(whiten.mT @ spread @ whiten)[0].clamp(min=0)
        if self.variant == "liml" or moments.population:
            return liml
        fuller: Tensor = liml - self.alpha / (moments.count.sum() - len(moments.count))
        return fuller
