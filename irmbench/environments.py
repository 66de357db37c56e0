"""What a method sees of the environments: per-environment risks and their derivatives, behind one face.

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
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from irmbench.errors import NeedsExamplesError


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
        smoothing: the temperature of `max`; None, for none, under official optimisers.

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
    def logistic(self) -> bool:
        """Whether the risk is logistic, and predictions are logits."""
        return False

    @property
    def gaussian(self) -> bool:
        """Whether this is a population in which inputs and target are jointly normal."""
        return False

    @property
    def predictions(self) -> Tensor:
        """f of every example, [E, n]; NeedsExamplesError where there are none."""
        raise NeedsExamplesError("predictions of single examples need examples: declare it with `needs_examples`")

    @property
    def targets(self) -> Tensor:
        """y of every example, [E, n]; NeedsExamplesError where there are none."""
        raise NeedsExamplesError("targets of single examples need examples: declare it with `needs_examples`")

    @property
    @abstractmethod
    def count(self) -> Tensor:
        """Examples in each environment, n_e, [E]; infinite on a population."""

    @property
    @abstractmethod
    def prediction_mean(self) -> Tensor:
        """E_e[f], [E]."""

    @property
    @abstractmethod
    def prediction_square(self) -> Tensor:
        """E_e[f^2], [E]."""

    @property
    def prediction_variance(self) -> Tensor:
        """The variance of f with 1 / (n_e - 1), [E]."""
        return (self.prediction_square - self.prediction_mean**2) / (1 - 1 / self.count)

    @property
    @abstractmethod
    def gradient_variance(self) -> Tensor:
        """The variance over examples of the gradient of each one's loss, per coordinate and with 1 / n, [E, P]."""

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
    def half(self) -> Tensor:
        """1 for the examples of a random part of each environment, fresh at every step, 0 for the others, [E, n].

        NeedsExamplesError where there are no examples.
        """
        raise NeedsExamplesError("a random part needs examples: declare it with `needs_split`")

    @property
    @abstractmethod
    def split_scale_gradients(self) -> tuple[Tensor, Tensor]:
        """G_e on either half of a random split of the examples, fresh at every step, [E] each; on a population, G_e."""

    def max(self, values: Tensor) -> Tensor:
        """Return the largest of values [E], or its smooth upper bound t logsumexp(values / t) at temperature t."""
        if self.smoothing is None:
            return values.amax()
        return self.smoothing * torch.logsumexp(values / self.smoothing, -1)
