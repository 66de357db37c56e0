"""Environments as examples: logistic loss, networks, per-example variances and random splits, O(E n P)."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import softplus

from irmbench.environments import Environments
from irmbench.moments import Examples
from irmbench.penalty import dummy_gradient


class ExampleEnvironments(Environments):
    """The face of examples."""

    _data: Examples

    @property
    def logistic(self) -> bool:
        return self._data.logistic

    @property
    def targets(self) -> Tensor:
        return self._data.targets

    @property
    def count(self) -> Tensor:
        return torch.full_like(self.targets[:, 0], self.targets.shape[-1])

    @property
    def share(self) -> Tensor:
        environments = self.targets.shape[0]
        return torch.full_like(self.targets[:, 0], 1 / environments)

    @cached_property
    def predictions(self) -> Tensor:
        return self._data.predict(self.coefficients)

    @cached_property
    def prediction_mean(self) -> Tensor:
        return self.predictions.mean(-1)

    @cached_property
    def prediction_square(self) -> Tensor:
        return self.predictions.square().mean(-1)

    @cached_property
    def risk(self) -> Tensor:
        if self.logistic:
            return softplus((1 - 2 * self.targets) * self.predictions).mean(-1)
        return (self.predictions - self.targets).square().mean(-1)

    @cached_property
    def _slope(self) -> Tensor:
        """The derivative of each example's loss in its prediction, [E, n]."""
        if self.logistic:
            return self.predictions.sigmoid() - self.targets
        return 2 * (self.predictions - self.targets)

    @cached_property
    def gradient(self) -> Tensor:
        if self._data.network is not None:
            pull = torch.func.vjp(self._data.predict, self.coefficients)[1]
            alone = torch.eye(len(self._slope), dtype=self._slope.dtype, device=self._slope.device)[..., None]
            each: Tensor = torch.func.vmap(lambda slope: pull(slope)[0])(alone * self._slope / self._slope.shape[-1])
            return each
        n = self._slope.shape[-1]
        inputs = (self._slope[:, None, :] @ self._data.inputs)[:, 0] / n
        return torch.cat([inputs, self.bias_gradient[:, None]], -1) if self.intercept else inputs

    @cached_property
    def scale_gradient(self) -> Tensor:
        return dummy_gradient(self.predictions, self.targets, loss="logistic" if self.logistic else "squared")

    @cached_property
    def bias_gradient(self) -> Tensor:
        return self._slope.mean(-1)

    @property
    def scale_gradient_variance(self) -> Tensor:
        each = self._slope * self.predictions
        n = each.shape[-1]
        return (each.square().mean(-1) - each.mean(-1).square()) / (n - 1)

    @property
    def gradient_variance(self) -> Tensor:
        slope, features = self._slope, self._data.features(self.coefficients)
        mean = (slope[:, None, :] @ features)[:, 0] / slope.shape[-1]
        return (slope.square()[:, None, :] @ features.square())[:, 0] / slope.shape[-1] - mean.square()

    @property
    def half(self) -> Tensor:
        if self._half is None:
            raise ValueError("this step has no random split: declare it with `needs_split`")
        return self._half

    @property
    def split_scale_gradients(self) -> tuple[Tensor, Tensor]:
        each = self._slope * self.predictions
        n = each.shape[-1]
        first = (each * self.half).sum(-1)
        return first / ((n + 1) // 2), (each.sum(-1) - first) / (n // 2)
