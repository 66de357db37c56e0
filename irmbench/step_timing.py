"""What one training step of the batched engine costs, and how that grows with trials, inputs, environments, examples.

The step is IRMv1's under the protocol of Arjovsky et al. 2019, appendix D: gradient descent, forward and backward.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from irmbench import plugins
from irmbench.batch import Batch
from irmbench.descent import CHAIN, COMPILE_FROM, Loop
from irmbench.interface import Array, Solver, Truth
from irmbench.moments import Examples, compress, stack
from irmbench.timing import Clock, clock_for, time_arms


@dataclass(frozen=True)
class StepCase:
    """A batch of ``trials`` data seeds, each of ``environments`` with ``n`` examples of ``d`` inputs."""

    trials: int = 1
    d: int = 11
    environments: int = 3
    n: int = 1_000
    compiled: bool = False


GROWTH: dict[str, Sequence[int]] = {
    "trials": (1, 100, 1_000, 10_000),
    "d": (11, 22, 44, 88),
    "environments": (3, 6, 12, 24),
    "n": (100, 1_000, 10_000),
}
AT = StepCase(
    trials=1_000
)  # where the growth in d, environments and n is measured: large enough to compute, not dispatch


def time_steps(
    cases: Sequence[StepCase], rounds: int = 10, device: str = "cpu", clock: Clock | None = None
) -> list[Array]:
    """Return the seconds of one step of each case, `[rounds]` each; cases are interleaved."""
    arms = {str(index): step_arm(case, device) for index, case in enumerate(cases)}
    seconds = time_arms(arms, pairs=rounds, clock=clock or clock_for(device))
    return [seconds[str(index)] / (CHAIN if case.compiled else 1) for index, case in enumerate(cases)]


def step_arm(case: StepCase, device: str = "cpu") -> Callable[[], object]:
    """Return a function that takes one step of the case, or where it is compiled as many as are compiled together."""
    generator = torch.Generator().manual_seed(0)

    inputs = torch.randn(case.environments, case.n, case.d, generator=generator, dtype=torch.float64)
    truth = Truth(torch.ones(case.d), torch.ones(case.d, dtype=torch.bool), torch.eye(case.d))
    method = plugins.load("methods", "irmv1")(normalisation="appendix_d", penalty_weight=1e5)
    solver = Solver(optimizer="sgd", learning_rate=1e-6, steps=COMPILE_FROM if case.compiled else 1)
    moments = compress(Examples(inputs, inputs.sum(-1))).to(device)
    data = stack([moments] * case.trials)  # one sample serves all: the cost does not depend on the values
    batch = Batch([method], data, [truth] * case.trials, [solver], list(range(case.trials)))
    loop, advance = Loop(batch), CHAIN if case.compiled else 1
    return lambda: loop.run(loop.done + advance)


def growth_exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Return the least-squares slope of log seconds in log size."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def growth_cases(what: str) -> list[StepCase]:
    """Return the cases in which one quantity grows."""
    return [replace(AT, **{what: size}) for size in GROWTH[what]]  # type: ignore[arg-type]
