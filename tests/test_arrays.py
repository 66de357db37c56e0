"""Traces on NumPy: the same numbers as on PyTorch, and None where that cannot be promised."""

import numpy as np
import pytest
import torch
from support import batch, dataset, method
from torch.testing import assert_close

from irmbench.engine import descent
from irmbench.engine.arrays import SMALL, on_arrays
from irmbench.engine.descent import one_step, start
from irmbench.engine.solve import solve
from irmbench.engine.tracing import trace
from irmbench.interface import Solver


def traced(name, optimizer="sgd", **params):
    whole = batch(dataset("irm_appendix_d", n=50), method(name, **params), Solver(optimizer=optimizer, steps=5))
    own, step = start(whole), torch.zeros(1, dtype=torch.float64)
    return trace(whole.lift(one_step(whole), own=len(own)), *own, step), (*own, step)


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [("irmv1", "sgd"), *[(m, "adam") for m in ("erm", "irmv1", "vrex", "mm_rex", "iga", "group_dro", "and_mask")]],
)
def test_a_step_is_the_same_on_arrays(name, optimizer):
    step, arguments = traced(name, optimizer)
    on_numpy = on_arrays(step)
    assert on_numpy is not None
    for expected, array in zip(step(*arguments), on_numpy(*(a.numpy() for a in arguments)), strict=True):
        assert_close(torch.from_numpy(np.array(array)), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["vrex", "group_dro"])
def test_a_recorded_path_is_the_same_with_and_without_arrays(name, monkeypatch):
    data, solver = dataset("irm_appendix_d", n=20), Solver(learning_rate=1e-3, steps=25)
    fits = []
    for translate in (on_arrays, lambda step: None):
        monkeypatch.setattr(descent, "on_arrays", translate)
        fits.append(solve(batch(data, method(name), solver), record_every=10))
    assert_close(fits[0].coefficients, fits[1].coefficients, rtol=1e-9, atol=1e-12)
    assert [step for step, _ in fits[0].trajectory] == [step for step, _ in fits[1].trajectory]


def test_a_large_trace_stays_with_pytorch():
    step = trace(lambda x: 2 * x, torch.ones(SMALL + 1))
    assert on_arrays(step) is None


def test_an_operator_that_numpy_has_not_stays_with_pytorch():
    step = trace(torch.special.i0, torch.ones(3))
    assert on_arrays(step) is None


def test_constants_are_computed_beforehand():
    weight = torch.arange(3.0)
    function = on_arrays(trace(lambda x: x * (weight.exp() + torch.ones_like(x)), torch.ones(3)))
    calls = [node.target for node in function.__self__.graph.nodes if node.op == "call_function"]
    assert calls == [np.multiply]
    assert_close(torch.from_numpy(function(np.ones(3))), (weight.exp() + 1).double())


@pytest.mark.parametrize("shape", [(2, 3), (1, 3), (2, 1)])
def test_expanded_operands_have_the_shapes_that_pytorch_gives_them(shape):
    def product(x, y):
        return (x.expand(2, 3) * y.expand(2, 3)).sum(0), x.expand(2, 3) + 1

    x, y = torch.randn(shape, dtype=torch.float64), torch.randn(1, 3, dtype=torch.float64)
    function = on_arrays(trace(product, x, y))
    for expected, array in zip(product(x, y), function(x.numpy(), y.numpy()), strict=True):
        assert_close(torch.from_numpy(np.array(array)), expected)
