"""What `training_times` times: a step of the batched engine at any size, and the notebook's experiment both ways."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from irmbench import plugins
from irmbench.engine.batch import Batch
from irmbench.interface import Dataset, Examples, Method, Solver, Truth
from irmbench.moments import compress, stack
from irmbench.runs.assembly import assemble

# The notebook's: so many steps of gradient descent at this rate on risk / weight + penalty.
STEPS, LEARNING_RATE, WEIGHT = 50_000, 1e-3, 1e5


@dataclass(frozen=True)
class Size:
    """What a training step is of: trials, and in each of them n examples of d inputs in every environment."""

    trials: int = 1_000
    n: int = 1_000
    d: int = 11
    environments: int = 3


def sized_batch(size: Size, steps: int = 1) -> Batch:
    """Return IRMv1's trials of a size; what the data are does not change the cost of a step."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(size.environments, size.n, size.d, generator=generator, dtype=torch.float64)
    truth = Truth(torch.ones(size.d), torch.ones(size.d, dtype=torch.bool), torch.eye(size.d))
    data = [compress(Examples(inputs, inputs.sum(-1)))] * size.trials
    return Batch([_method()], stack(data), [truth] * size.trials, [_solver(1e-6, steps)], list(range(size.trials)))


def notebook_batch(seeds: int = 1, steps: int = STEPS) -> Batch:
    """Return the notebook's experiment, for so many data seeds."""
    return assemble(_dataset(), [_method()], _solver(LEARNING_RATE, steps), range(seeds))


def notebook_loop() -> Callable[[int], Tensor]:
    """Return what goes on with the notebook's own loop for so many steps and returns the coefficients [P].

    Double backward, one environment after another, on freshly permuted examples.
    """
    examples = _dataset().sample(_dataset().n, 0)
    data = [(x.float(), y.float()[:, None]) for x, y in zip(examples.inputs, examples.targets, strict=True)]
    phi, dummy = (torch.nn.Parameter(torch.ones(shape)) for shape in ((examples.dimension, 1), (1,)))
    optimizer = torch.optim.SGD([phi], lr=LEARNING_RATE)

    def run(steps: int) -> Tensor:
        for _ in range(steps):
            error, penalty = torch.zeros(2)
            for x, y in data:
                order = torch.randperm(len(x))
                losses = (x[order] @ phi * dummy - y[order]) ** 2
                (first,) = torch.autograd.grad(losses[0::2].mean(), dummy, create_graph=True)
                (second,) = torch.autograd.grad(losses[1::2].mean(), dummy, create_graph=True)
                penalty = penalty + (first * second).sum()
                error = error + losses.mean()
            optimizer.zero_grad()
            (error / WEIGHT + penalty).backward()
            optimizer.step()
        return phi.detach()[:, 0]

    return run


def _dataset() -> Dataset:
    dataset: Dataset = plugins.load("datasets", "irm_appendix_d")()
    return dataset


def _method() -> Method:
    method: Method = plugins.load("methods", "irmv1")(normalisation="appendix_d", penalty_weight=WEIGHT)
    return method


def _solver(learning_rate: float, steps: int) -> Solver:
    return Solver(optimizer="sgd", learning_rate=learning_rate, steps=steps)
