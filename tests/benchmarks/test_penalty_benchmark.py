"""The cases of ``irmbench perf`` under pytest-benchmark.

pytest --benchmark-enable --benchmark-only tests/benchmarks
"""

from typing import Any

import pytest
import torch

from irmbench.perf.penalty_times import GRID, LARGE, case_id, label
from irmbench.perf.timing import Case, penalty_arms


@pytest.mark.parametrize("arm", ["fast", "reference", "bound"])
@pytest.mark.parametrize("case", [case for case in GRID if case.environments * case.n < LARGE], ids=case_id)
def test_penalty(benchmark: Any, case: Case, arm: str) -> None:
    benchmark.group = label(case)
    dtype = getattr(torch, case.dtype)
    arms = penalty_arms(case.environments, case.n, dtype=dtype, loss=case.loss, estimator=case.estimator)
    benchmark(arms[arm])
