"""One IRMv1 step of the batched engine on moments, as trials, inputs, environments and examples grow in number.

    pytest -n0 --benchmark-enable --benchmark-only tests/benchmarks/test_training_benchmark.py

A call is one step of gradient descent of every trial, or where it is compiled the steps that are compiled together.
"""

import pytest
import torch

from irmbench.engine.descent import CHAIN, COMPILE_FROM, Loop
from irmbench.perf.training_loops import Size, sized_batch
from irmbench.perf.training_times import GROWTH


def loop(compiled=False, **size):
    """Return the steps of a batch of data seeds under the protocol of appendix D of the IRM paper."""
    return Loop(sized_batch(Size(**size), COMPILE_FROM if compiled else 1))


def advance(benchmark, steps, count=1):
    own = benchmark(lambda: steps.run(steps.done + count))
    assert torch.isfinite(own[0]).all()


@pytest.mark.parametrize("trials", GROWTH["trials"])
def test_trials(benchmark, trials):
    advance(benchmark, loop(trials=trials))


@pytest.mark.slow
@pytest.mark.parametrize("trials", [1, 1_000])
def test_compiled_trials(benchmark, trials):
    advance(benchmark, loop(compiled=True, trials=trials), CHAIN)


@pytest.mark.parametrize("d", GROWTH["d"])
def test_inputs(benchmark, d):
    advance(benchmark, loop(d=d))


@pytest.mark.parametrize("environments", GROWTH["environments"])
def test_environments(benchmark, environments):
    advance(benchmark, loop(environments=environments))


@pytest.mark.parametrize("n", GROWTH["n"])
def test_examples(benchmark, n):
    advance(benchmark, loop(n=n))
