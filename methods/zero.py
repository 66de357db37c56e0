"""Zero: no coefficient at all, the error that every other method is read against."""

from dataclasses import dataclass

import torch
from torch import Tensor

from irmbench.interface import CLOSED_FORM, Method, Moments, Tolerance


@dataclass(frozen=True)
class Zero(Method):
    """phi = 0."""

    paper = "a baseline"
    family = "baseline"
    tolerates = Tolerance(y_noise_varies="yes", hidden_confounding="no", anti_causal="no")
    official = CLOSED_FORM
    closed_form_losses = ("squared", "logistic")

    def fit(self, moments: Moments) -> Tensor:
        return torch.zeros_like(moments.cross[0])
