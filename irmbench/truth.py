"""The causal coefficients that estimates are compared with, and the coordinates they are in."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Truth:
    """The causal coefficients of one data seed.

    ``coefficients`` [d] and ``causal`` (bool [d]) are in unscrambled coordinates, where the coefficients of a predictor
    with observed coefficients ``b`` are ``unscramble @ b``; ``unscramble`` is orthogonal, [d, d].
    """

    coefficients: Tensor
    causal: Tensor
    unscramble: Tensor

    def to(self, device: str) -> Truth:
        """Return the same on another device."""
        return Truth(self.coefficients.to(device), self.causal.to(device), self.unscramble.to(device))

    def basis(self, parameters: int) -> Tensor:
        """Return ``unscramble`` extended over an intercept where there is one, [P, P]."""
        extra = parameters - len(self.unscramble)
        ones = torch.nn.functional.pad(torch.zeros_like(self.coefficients), (0, extra), value=1.0)
        return torch.nn.functional.pad(self.unscramble, (0, extra, 0, extra)) + torch.diag(ones)

    def kept(self, parameters: int) -> Tensor:
        """Return 1 for causes (and an intercept) and 0 for the rest, [P]."""
        return torch.nn.functional.pad(self.causal.double(), (0, parameters - len(self.causal)), value=1.0)

    def observed(self, coefficients: Tensor, parameters: int) -> Tensor:
        """Return unscrambled coefficients [d] in observed coordinates, [P], an intercept being 0."""
        return torch.nn.functional.pad(self.unscramble.mT @ coefficients, (0, parameters - len(coefficients)))
