"""One IRMv1 step of the batched engine on moments, as trials, inputs, environments and examples grow in number.

    pytest -n0 --benchmark-enable --benchmark-only tests/benchmarks/test_training_benchmark.py

A call is one step of gradient descent of every trial, or where it is compiled the steps that are compiled together.
"""

import pytest
import torch
from support import method

from irmbench.batch import Batch
from irmbench.descent import CHAIN, COMPILE_FROM, Loop
from irmbench.interface import Solver, Truth
from irmbench.moments import Examples, compress, stack


def loop(trials, d=11, environments=3, n=1_000, compiled=False):
    """Return the steps of a batch of data seeds under the protocol of appendix D of the IRM paper."""
    inputs = torch.randn(environments, n, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    truth = Truth(torch.ones(d), torch.ones(d, dtype=torch.bool), torch.eye(d))
    solver = Solver(optimizer="sgd", learning_rate=1e-6, steps=COMPILE_FROM if compiled else 1)
    data = stack([compress(Examples(inputs, inputs.sum(-1)))] * trials)  # the cost does not depend on the values
    protocol = method("irmv1", normalisation="appendix_d", penalty_weight=1e5)
    return Loop(Batch([protocol], data, [truth] * trials, [solver], list(range(trials))))


def advance(benchmark, steps, count=1):
    own = benchmark(lambda: steps.run(steps.done + count))
    assert torch.isfinite(own[0]).all()


@pytest.mark.parametrize("trials", [1, 100, 1_000, 10_000])
def test_trials(benchmark, trials):
    advance(benchmark, loop(trials))


@pytest.mark.slow
@pytest.mark.parametrize("trials", [1, 1_000])
def test_compiled_trials(benchmark, trials):
    advance(benchmark, loop(trials, compiled=True), CHAIN)


@pytest.mark.parametrize("d", [11, 22, 44, 88])
def test_inputs(benchmark, d):
    advance(benchmark, loop(1_000, d=d))


@pytest.mark.parametrize("environments", [3, 6, 12, 24])
def test_environments(benchmark, environments):
    advance(benchmark, loop(1_000, environments=environments))


@pytest.mark.parametrize("n", [100, 1_000, 10_000])
def test_examples(benchmark, n):
    advance(benchmark, loop(1_000, n=n))
