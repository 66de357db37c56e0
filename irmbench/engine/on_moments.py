"""Environments as moments: squared loss, O(E P^2) whatever the number of examples."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from irmbench.environments import Environments
from irmbench.errors import NeedsExamplesError
from irmbench.moments import Moments


class MomentEnvironments(Environments):
    """The face of moments."""

    _data: Moments

    @property
    def share(self) -> Tensor:
        return self._data.share

    @property
    def gaussian(self) -> bool:
        return self._data.gaussian

    @property
    def count(self) -> Tensor:
        return torch.full_like(self._data.count, torch.inf) if self._data.population else self._data.count

    @cached_property
    def _gram_phi(self) -> Tensor:
        # A row vector times one matrix [P, E P]: under vmap the draws of a seed become the rows of a single product.
        gram = self._data.gram
        return (self.coefficients @ gram.flatten(0, 1).mT).view(gram.shape[:2])

    @cached_property
    def prediction_square(self) -> Tensor:
        return (self._gram_phi * self.coefficients).sum(-1)

    @cached_property
    def _product(self) -> Tensor:
        return (self._data.cross * self.coefficients).sum(-1)

    @cached_property
    def risk(self) -> Tensor:
        return self.prediction_square - 2 * self._product + self._data.target_square

    @cached_property
    def gradient(self) -> Tensor:
        return 2 * (self._gram_phi - self._data.cross)

    @cached_property
    def scale_gradient(self) -> Tensor:
        return 2 * (self.prediction_square - self._product)

    @cached_property
    def bias_gradient(self) -> Tensor:
        return 2 * (self.prediction_mean - self._data.target_mean)

    @cached_property
    def prediction_mean(self) -> Tensor:
        return (self._data.input_mean * self.coefficients).sum(-1)

    @property
    def gradient_variance(self) -> Tensor:
        """4 Var(r x_j) of jointly normal r = f - y and x_j."""
        if not self.gaussian:
            raise NeedsExamplesError("the variance of gradients needs examples: declare it with `needs_examples`")
        r_mean, x_mean = (self.bias_gradient / 2)[:, None], self._data.input_mean
        r_variance = self.risk[:, None] - r_mean**2
        x_variance = self._data.gram.diagonal(dim1=-2, dim2=-1) - x_mean**2
        covariance = self.gradient / 2 - r_mean * x_mean
        product = r_variance * x_variance + covariance**2
        return 4 * (product + r_mean**2 * x_variance + x_mean**2 * r_variance + 2 * r_mean * x_mean * covariance)

    @property
    def scale_gradient_variance(self) -> Tensor:
        self._require_population("the variance of the dummy gradient")
        return torch.zeros_like(self.risk)

    @property
    def split_scale_gradients(self) -> tuple[Tensor, Tensor]:
        self._require_population("a random split")
        return self.scale_gradient, self.scale_gradient

    def _require_population(self, what: str) -> None:
        if not self._data.population:
            raise NeedsExamplesError(f"{what} needs examples: declare it with `needs_examples` or `needs_split`")
