"""Environments of linear logistic regression, in one compiled pass over the examples: O(E n P), without autograd."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import pad

from irmbench.engine.logistic import Gradient, Known, Risk, Signed, sums
from irmbench.environments import Environments
from irmbench.errors import NeedsExamplesError


class SignedEnvironments(Environments):
    """The face of signed examples; derivatives beyond the gradient of `gradient` and `scale_gradient` it has none."""

    _data: Signed

    @property
    def logistic(self) -> bool:
        return True

    @property
    def count(self) -> Tensor:
        return torch.full_like(self._data.mean[:, 0], self._data.n)

    @property
    def share(self) -> Tensor:
        return torch.full_like(self._data.mean[:, 0], 1 / self._data.mean.shape[0])

    @cached_property
    def prediction_mean(self) -> Tensor:
        return self._data.mean @ self.coefficients

    @cached_property
    def prediction_square(self) -> Tensor:
        return (self._data.second @ self.coefficients) @ self.coefficients

    @cached_property
    def _point(self) -> Tensor:
        """The coefficients and, where there is no intercept, the zero that it is."""
        return pad(self.coefficients, (0, 1 - int(self.intercept)))

    @cached_property
    def _sums(self) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = sums(
            self._data.blocks[None], self._point.detach()[None, None], self._data.n, [True, True, True]
        )
        return tuple(part[0, 0] for part in found)

    @cached_property
    def risk(self) -> Tensor:
        risk: Tensor = Risk.apply(self._point, *self._sums[:2], self._data.blocks, self._data.n)
        return risk

    @cached_property
    def gradient(self) -> Tensor:
        gradient: Tensor = Gradient.apply(self._point, self._sums[1], self._data.blocks, self._data.n)
        return gradient[:, : self.coefficients.shape[0]]

    @cached_property
    def scale_gradient(self) -> Tensor:
        _, gradient, derivative, _ = self._sums
        scale: Tensor = Known.apply(self._point, gradient @ self._point.detach(), derivative)
        return scale

    @cached_property
    def bias_gradient(self) -> Tensor:
        _, gradient, _, derivative = self._sums
        bias: Tensor = Known.apply(self._point, gradient[:, -1], derivative)
        return bias

    @property
    def gradient_variance(self) -> Tensor:
        raise NeedsExamplesError("the variance of gradients needs examples: declare it with `needs_examples`")

    @property
    def scale_gradient_variance(self) -> Tensor:
        raise NeedsExamplesError("the variance of the dummy gradient needs examples: declare it with `needs_examples`")

    @property
    def split_scale_gradients(self) -> tuple[Tensor, Tensor]:
        raise NeedsExamplesError("a random split needs examples: declare it with `needs_split`")
