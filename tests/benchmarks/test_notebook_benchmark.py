"""The notebook's loop for one seed, beside a batch of 200 seeds of the same experiment; a round is 100 steps.

pytest -n0 --benchmark-enable --benchmark-only tests/benchmarks/test_notebook_benchmark.py
"""

import pytest

from irmbench.engine.descent import Loop
from irmbench.perf.training_loops import notebook_batch, notebook_loop

STEPS = 100


def test_notebook_loop_of_one_seed(benchmark):
    phi = benchmark.pedantic(notebook_loop(), (STEPS,), rounds=20, warmup_rounds=1)
    assert phi[2:].max() < 0.5


@pytest.mark.parametrize("seeds", [1, 200])
def test_batch(benchmark, seeds):
    loop = Loop(notebook_batch(seeds, STEPS))
    phi = benchmark.pedantic(lambda: loop.run(loop.done + STEPS)[0], rounds=20, warmup_rounds=1)
    assert phi.shape == (seeds, 1, 4)
    assert phi[..., 2:].max() < 0.5
