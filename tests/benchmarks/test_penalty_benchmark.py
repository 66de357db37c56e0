"""The penalty's cases under pytest-benchmark: ``pytest --benchmark-enable --benchmark-only tests/benchmarks``."""

from typing import Any

import pytest

from irmbench.timing import QUICK_CASES, Case, penalty_arms

CASES = [*QUICK_CASES, Case(2, 10_000, estimator="ustat"), Case(2, 10_000, loss="logistic")]


@pytest.mark.parametrize("arm", ["fast", "reference", "bound"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.environments}x{c.n}-{c.loss}-{c.estimator}-{c.dtype}")
def test_penalty(benchmark: Any, case: Case, arm: str) -> None:
    benchmark.group = f"{case.environments} x {case.n}, {case.loss}, {case.estimator}"
    benchmark(penalty_arms(case.environments, case.n, loss=case.loss, estimator=case.estimator)[arm])
