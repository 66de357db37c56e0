"""Samples drawn in chunks to moments, and what is drawn of it: independent normal variables alone.

    pytest -n0 --benchmark-enable --benchmark-only tests/benchmarks/test_stream_benchmark.py

Of the chain's examples in three environments, 60 normal variables a row, the generator is the bound; elementwise
arithmetic and the moments are the rest.
"""

import numpy as np
import pytest
import torch
from support import dataset

from irmbench.interface import stream
from irmbench.runs import streams

ROWS = 2**20


@pytest.fixture
def rows(benchmark):
    """The number of rows: few where nothing is timed."""
    return 2**14 if benchmark.disabled else ROWS


@pytest.mark.parametrize("threads", [1, 2])
def test_rows_to_moments(benchmark, rows, threads, monkeypatch):
    monkeypatch.setattr(streams, "WHOLE", 0)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = benchmark.pedantic(streams.streamed, (dataset("irm_chain", n=rows), "training", 0, "data"), rounds=3)
    finally:
        torch.set_num_threads(before)
    benchmark.extra_info["rows"] = rows
    assert found.count.tolist() == [rows] * 3


def test_the_bound_normal_variables_alone(benchmark, rows):
    generator = stream("data", 0)
    block = np.empty((streams.ROWS, 5))

    def draw():
        for _ in range(12 * rows // streams.ROWS):
            generator.standard_normal(out=block)

    benchmark.pedantic(draw, rounds=3)
    benchmark.extra_info["rows"] = rows
    assert np.isfinite(block).all()
