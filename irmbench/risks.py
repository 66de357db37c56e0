"""Per-environment risks and their derivatives, from moments or from examples, behind one face.

Notation, for E environments and coefficients phi [P] (the intercept last where there is one):

    R_e   = E_e[(x'phi - y)^2]                        squared loss, without a factor 1/2
            E_e[softplus(-(2y - 1) x'phi)]            logistic loss, y in {0, 1}
    g_e   = dR_e / dphi
    G_e   = d/dw R_e(w phi) at w = 1  = phi'g_e        the dummy scale gradient
    B_e   = d/db R_e(x'phi + b) at b = 0               the dummy bias gradient

Source: Arjovsky, Bottou, Gulrajani and Lopez-Paz 2019, arXiv 1907.02893, equation (IRMv1).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, Protocol, Self

import torch
from torch import Tensor
from torch.nn.functional import softplus

from irmbench.moments import Examples, Moments
from irmbench.penalty import dummy_gradient

Data = Moments | Examples


class Parametrisation(Protocol):
    """Parameters in, coefficients out: all that risks ask of a method."""

    def coefficients(self, parameters: Tensor) -> Tensor:
        """Return the coefficients [P] of the given parameters."""


class Environments(ABC):
    """What a method may look at: every environment's risk and its derivatives, at one set of parameters.

    Attributes:
        parameters: where the environments are looked at, in the method's own parametrisation.
        coefficients: the same as coefficients, [P].
        step: the number of updates done so far (a scalar tensor).
        state: what the method carries between steps.
        smoothing: the temperature of `max`; 0 under official optimisers.

    """

    def __init__(
        self,
        data: Any,
        method: Parametrisation,
        parameters: Tensor,
        *,
        step: Tensor | None = None,
        state: Tensor | None = None,
        half: Tensor | None = None,
        smoothing: Tensor | None = None,
    ) -> None:
        self._data, self._method = data, method
        self.parameters = parameters
        self.coefficients = method.coefficients(parameters)
        self.step = torch.zeros(()) if step is None else step
        self.state = torch.zeros(0) if state is None else state
        self.smoothing = smoothing
        self._half = half  # 1 for the examples of a random half, 0 for the others, [E, n]

    def at(self, parameters: Tensor) -> Self:
        """Return the same environments looked at from other parameters."""
        context = {"step": self.step, "state": self.state, "half": self._half, "smoothing": self.smoothing}
        return type(self)(self._data, self._method, parameters, **context)

    @property
    def intercept(self) -> bool:
        """Whether the last coefficient is an intercept."""
        return bool(self._data.intercept)

    @property
    @abstractmethod
    def share(self) -> Tensor:
        """Each environment's part of all examples, n_e / N, [E]."""

    @property
    @abstractmethod
    def risk(self) -> Tensor:
        """R_e, [E]."""

    @property
    @abstractmethod
    def gradient(self) -> Tensor:
        """g_e, [E, P]."""

    @property
    @abstractmethod
    def scale_gradient(self) -> Tensor:
        """G_e, [E]."""

    @property
    @abstractmethod
    def bias_gradient(self) -> Tensor:
        """B_e, [E]."""

    @property
    @abstractmethod
    def scale_gradient_variance(self) -> Tensor:
        """The unbiased estimate of the variance of G_e over samples, [E]; 0 on a population."""

    @property
    @abstractmethod
    def split_scale_gradients(self) -> tuple[Tensor, Tensor]:
        """G_e on either half of a random split of the examples, fresh at every step, [E] each; on a population, G_e."""

    def max(self, values: Tensor) -> Tensor:
        """Return the largest of values [E], or its smooth upper bound t logsumexp(values / t) at temperature t."""
        if self.smoothing is None:
            return values.amax()
        return self.smoothing * torch.logsumexp(values / self.smoothing, -1)


class MomentEnvironments(Environments):
    """Environments as moments: squared loss, O(E P^2) whatever the number of examples."""

    _data: Moments

    @property
    def share(self) -> Tensor:
        return self._data.share

    @cached_property
    def _gram_phi(self) -> Tensor:
        # A row vector times one matrix [P, E P]: under vmap the draws of a seed become the rows of a single product.
        gram = self._data.gram
        return (self.coefficients @ gram.flatten(0, 1).mT).view(gram.shape[:2])

    @cached_property
    def _square(self) -> Tensor:
        return (self._gram_phi * self.coefficients).sum(-1)

    @cached_property
    def _product(self) -> Tensor:
        return (self._data.cross * self.coefficients).sum(-1)

    @cached_property
    def risk(self) -> Tensor:
        return self._square - 2 * self._product + self._data.target_square

    @cached_property
    def gradient(self) -> Tensor:
        return 2 * (self._gram_phi - self._data.cross)

    @cached_property
    def scale_gradient(self) -> Tensor:
        return 2 * (self._square - self._product)

    @cached_property
    def bias_gradient(self) -> Tensor:
        return 2 * ((self._data.input_mean * self.coefficients).sum(-1) - self._data.target_mean)

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
            raise ValueError(f"{what} needs examples: declare it with `needs_examples` or `needs_split`")


class ExampleEnvironments(Environments):
    """Environments as examples: logistic loss, per-example variances and random splits, O(E n P)."""

    _data: Examples

    @property
    def share(self) -> Tensor:
        environments = self._data.targets.shape[0]
        return torch.full_like(self._data.targets[:, 0], 1 / environments)

    @cached_property
    def _prediction(self) -> Tensor:
        inputs = self._data.inputs
        if not self.intercept:
            return inputs @ self.coefficients
        return inputs @ self.coefficients[:-1] + self.coefficients[-1]

    @cached_property
    def risk(self) -> Tensor:
        if self._data.logistic:
            return softplus((1 - 2 * self._data.targets) * self._prediction).mean(-1)
        return (self._prediction - self._data.targets).square().mean(-1)

    @cached_property
    def _slope(self) -> Tensor:
        """The derivative of each example's loss in its prediction, [E, n]."""
        if self._data.logistic:
            return self._prediction.sigmoid() - self._data.targets
        return 2 * (self._prediction - self._data.targets)

    @cached_property
    def gradient(self) -> Tensor:
        n = self._slope.shape[-1]
        inputs = (self._slope[:, None, :] @ self._data.inputs)[:, 0] / n
        return torch.cat([inputs, self.bias_gradient[:, None]], -1) if self.intercept else inputs

    @cached_property
    def scale_gradient(self) -> Tensor:
        return dummy_gradient(
            self._prediction, self._data.targets, loss="logistic" if self._data.logistic else "squared"
        )

    @cached_property
    def bias_gradient(self) -> Tensor:
        return self._slope.mean(-1)

    @property
    def scale_gradient_variance(self) -> Tensor:
        each = self._slope * self._prediction
        n = each.shape[-1]
        return (each.square().mean(-1) - each.mean(-1).square()) / (n - 1)

    @property
    def split_scale_gradients(self) -> tuple[Tensor, Tensor]:
        if self._half is None:
            raise ValueError("this step has no random split: declare it with `needs_split`")
        each = self._slope * self._prediction
        n = each.shape[-1]
        first = (each * self._half).sum(-1)
        return first / ((n + 1) // 2), (each.sum(-1) - first) / (n // 2)


def environments(data: Data, method: Parametrisation, parameters: Tensor, **context: Any) -> Environments:
    """Return the environments in ``data`` (without batch dimensions) as ``method`` sees them at ``parameters``."""
    if isinstance(data, Moments):
        return MomentEnvironments(data, method, parameters, **context)
    return ExampleEnvironments(data, method, parameters, **context)
