"""The methods that try all 1,024 subsets of ten inputs, in one batch from moments, and ICP as a plain loop.

    pytest -n0 --benchmark-enable --benchmark-only tests/benchmarks/test_subset_benchmark.py

The loop is what published code does: for every subset, least squares and tests of residuals on 3,000 examples.
"""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from support import batch, dataset, method

from irmbench.engine.solve import solve
from irmbench.moments import compress

NAMES = ["icp", "eills", "fair_ll", "stabilised_regression"]


@pytest.mark.parametrize("name", NAMES)
def test_all_subsets_of_ten_inputs(benchmark, name):
    moments = compress(dataset("irm_chain").sample(1000, 0))
    assert torch.isfinite(benchmark(method(name).fit, moments)).all()


@pytest.mark.parametrize("name", NAMES)
def test_all_subsets_of_ten_inputs_for_twenty_seeds(benchmark, name):
    trials = batch(dataset("irm_chain"), method(name), "official", seeds=20)
    assert torch.isfinite(benchmark.pedantic(lambda: solve(trials), rounds=3).coefficients).all()


@pytest.mark.slow
def test_icp_as_a_plain_loop(benchmark):
    fewer = {"d": 3} if benchmark.disabled else {}  # 63 subsets, where nothing is timed
    examples = dataset("irm_chain", **fewer).sample(1000, 0)
    X, y = examples.inputs.numpy(), examples.targets.numpy()
    p = benchmark.pedantic(plain_loop, (X, y), rounds=1)
    expected = method("icp", variant="irm_paper").p_values(compress(examples))
    assert sorted(p) == pytest.approx(sorted(expected[1:].tolist()), abs=1e-8)


def plain_loop(X, y):
    """Return the p-value of every subset but the empty one, by the conventions of the IRM paper's code."""
    environments, n, d = X.shape
    rows, target = X.reshape(-1, d), y.ravel()
    own = np.repeat(np.arange(environments), n)
    p = []
    for S in itertools.chain.from_iterable(itertools.combinations(range(d), k) for k in range(1, d + 1)):
        residual = target - rows[:, S] @ np.linalg.lstsq(rows[:, S], target, rcond=None)[0]
        smallest = min(two_tests(residual[own == e], residual[own != e]) for e in range(environments))
        p.append(smallest * environments)
    return p


def two_tests(a, b):
    """Return twice the smaller p-value of Welch's t-test and of the two-sided F-test."""
    above = 1 - stats.f.cdf(np.var(a, ddof=1) / np.var(b, ddof=1), len(a) - 1, len(b) - 1)
    return 2 * min(stats.ttest_ind(a, b, equal_var=False).pvalue, 2 * min(above, 1 - above))
