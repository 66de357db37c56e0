"""The notebook's loop for one seed, beside a batch of 200 seeds of the same experiment; a round is 100 steps.

pytest -n0 --benchmark-enable --benchmark-only tests/benchmarks/test_notebook_benchmark.py
"""

import pytest
import torch
from support import batch, dataset, method

from irmbench.descent import one_step, start
from irmbench.interface import Solver
from irmbench.tracing import trace

STEPS = 100


def notebook_loop(steps):
    """Run the notebook's own loop: double backward, one environment after another, on freshly permuted examples."""
    examples = dataset("irm_appendix_d").sample(10_000, 0)
    data = [(x.float(), y.float()[:, None]) for x, y in zip(examples.inputs, examples.targets, strict=True)]
    phi = torch.nn.Parameter(torch.ones(4, 1))
    dummy = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([phi], lr=1e-3)
    for _ in range(steps):
        error, penalty = 0, 0
        for x, y in data:
            order = torch.randperm(len(x))
            losses = (x[order] @ phi * dummy - y[order]) ** 2
            (first,) = torch.autograd.grad(losses[0::2].mean(), dummy, create_graph=True)
            (second,) = torch.autograd.grad(losses[1::2].mean(), dummy, create_graph=True)
            penalty += (first * second).sum()
            error += losses.mean()
        optimizer.zero_grad()
        (1e-5 * error + penalty).backward()
        optimizer.step()
    return phi.detach()[:, 0]


def stepper(seeds):
    """Return a function that runs a number of steps of the same experiment on ``seeds`` seeds, after tracing."""
    protocol = method("irmv1", normalisation="appendix_d", penalty_weight=1e5)
    solver = Solver(optimizer="sgd", learning_rate=1e-3, steps=STEPS)
    whole = batch(dataset("irm_appendix_d"), protocol, solver, seeds=seeds)
    own, step = start(whole), torch.zeros(seeds, dtype=torch.float64)
    update = trace(whole.lift(one_step(whole), own=len(own)), *own, step)

    def run(steps):
        state = own
        with torch.no_grad():
            for _ in range(steps):
                state = update(*state, step)
        return state[0]

    return run


def test_notebook_loop_of_one_seed(benchmark):
    phi = benchmark.pedantic(notebook_loop, (STEPS,), rounds=20, warmup_rounds=1)
    assert phi[2:].max() < 0.5


@pytest.mark.parametrize("seeds", [1, 200])
def test_batch(benchmark, seeds):
    phi = benchmark.pedantic(stepper(seeds), (STEPS,), rounds=20, warmup_rounds=1)
    assert phi.shape == (seeds, 1, 4)
    assert phi[..., 2:].max() < 0.5
