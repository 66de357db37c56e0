"""The Linear Unit Tests' training as an ordinary PyTorch loop, a trial at a time by autograd: to check, time against.

Written from the papers' protocols: Aubin et al. 2021, arXiv 2102.10867, and Ahuja et al. 2021, arXiv 2106.06607.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import grad
from torch.nn import functional

from irmbench.moments import Examples

Losses = list[Tensor]


class OrdinaryLoop:
    """One trial: a linear layer, trained on all examples of all environments at every step, in float32.

    examples: [E, n, d]; start: coefficients and intercept, [d + 1]; hyper: the method's and optimiser's by name.
    """

    def __init__(self, method: str, examples: Examples, start: Tensor, hyper: dict[str, float]) -> None:
        self._method, self._hyper = METHODS[method], hyper
        self._loss = functional.binary_cross_entropy_with_logits if examples.logistic else functional.mse_loss
        self._inputs, self._targets = examples.inputs.float(), examples.targets.float()[..., None]
        self.layer = torch.nn.Linear(examples.inputs.shape[-1], 1)
        with torch.no_grad():
            self.layer.weight.copy_(start[None, :-1])
            self.layer.bias.copy_(start[-1:])
        self._optimizer = torch.optim.Adam(
            self.layer.parameters(), lr=hyper["learning_rate"], weight_decay=hyper["weight_decay"]
        )

    @property
    def coefficients(self) -> Tensor:
        """The coefficients and the intercept, [d + 1]."""
        return torch.cat([self.layer.weight.detach()[0], self.layer.bias.detach()])

    def run(self, steps: int) -> None:
        """Take so many steps."""
        for _ in range(steps):
            if self._method is mask:
                mask(self, **self._hyper)
                continue
            self._optimizer.zero_grad()
            self._method(self, **self._hyper).backward()
            self._optimizer.step()

    def environments(self, scale: Tensor | float = 1.0, bias: Tensor | float = 0.0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each environment's predictions and risk, with a dummy scale and bias on top."""
        for x, y in zip(self._inputs, self._targets, strict=True):
            predictions = self.layer(x) * scale + bias
            yield predictions, self._loss(predictions, y)

    def pooled(self) -> tuple[Tensor, Tensor]:
        """Return all examples' predictions and their risk."""
        predictions = self.layer(self._inputs.flatten(0, 1))
        return predictions, self._loss(predictions, self._targets.flatten(0, 1))


def erm(loop: OrdinaryLoop, **_: float) -> Tensor:
    """The risk on all examples."""
    return loop.pooled()[1]


def ib_erm(loop: OrdinaryLoop, penalty_weight: float, **_: float) -> Tensor:
    """The risk on all examples and the variance of their predictions."""
    predictions, risk = loop.pooled()
    return risk + penalty_weight * predictions.var()


def irmv1(loop: OrdinaryLoop, penalty_weight: float, **_: float) -> Tensor:
    """Risks, and squared gradients in a dummy scale and bias, by double backward."""
    return _irm(loop, penalty_weight)[0]


def ib_irm(loop: OrdinaryLoop, penalty_weight: float, variance_weight: float, **_: float) -> Tensor:
    """IRMv1 and the variance of predictions in every environment."""
    objective, predictions = _irm(loop, penalty_weight)
    return objective + variance_weight * torch.stack(predictions).var(1).mean()


def _irm(loop: OrdinaryLoop, penalty_weight: float) -> tuple[Tensor, Losses]:
    scale, bias = torch.ones(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    predictions, risks = zip(*loop.environments(scale, bias), strict=True)
    gradients = [grad(risk, (scale, bias), create_graph=True) for risk in risks]
    penalty = sum(part.square().sum() for pair in gradients for part in pair)
    return (1 - penalty_weight) * torch.stack(risks).mean() + penalty_weight * penalty, list(predictions)


def iga(loop: OrdinaryLoop, penalty_weight: float, **_: float) -> Tensor:
    """Risks, and squared distances of their gradients from the mean gradient."""
    risks = [risk for _, risk in loop.environments()]
    parameters = tuple(loop.layer.parameters())
    mean = sum(risks[1:], risks[0]) / len(risks)
    mean_gradient = grad(mean, parameters, create_graph=True)
    gradients = [grad(risk, parameters, create_graph=True) for risk in risks]
    distances = [(a - b).square().sum() for each in gradients for a, b in zip(each, mean_gradient, strict=True)]
    return mean + penalty_weight * torch.stack(distances).sum()


def mask(loop: OrdinaryLoop, tau: float, learning_rate: float, weight_decay: float) -> None:
    """Step along the mean gradient where signs agree, each environment's of the weights at unit length."""
    parameters = tuple(loop.layer.parameters())
    gradients = [grad(risk, parameters) for _, risk in loop.environments()]
    weights = torch.stack([weight / weight.norm() for weight, _ in gradients])
    biases = torch.stack([bias for _, bias in gradients])
    with torch.no_grad():
        for parameter, each in zip(parameters, (weights, biases), strict=True):
            agree = each.sign().sum(0).abs() > len(gradients) * tau
            parameter.sub_(learning_rate * (agree * each.mean(0) + weight_decay * parameter))


METHODS: dict[str, Callable[..., Any]] = {
    "erm": erm,
    "oracle_shuffled": erm,
    "irmv1": irmv1,
    "and_mask": mask,
    "iga": iga,
    "ib_erm": ib_erm,
    "ib_irm": ib_irm,
}
