"""The small problems on which methods are checked, and what methods do there in a few steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from torch import Tensor

from irmbench import plugins
from irmbench.contract.first_steps import first_steps
from irmbench.engine.batch import Batch
from irmbench.engine.solve import resolve_solver, solve, why_not
from irmbench.interface import Dataset, Method, Solver
from irmbench.moments import stack
from irmbench.runs.assembly import assemble, training_data

# Between them these small problems allow every method at least one.
PROBLEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "chain": ("irm_chain", {"n": 60, "d": 2}),
    "mean shift": ("anchor_iv", {"n": 60}),
    "unequal sizes": ("imbalanced_envs", {"n": 60, "ratio": 3.0}),
    "intercept": ("unit_test_1", {"n": 60, "causes": 2, "effects": 2}),
    "logistic": ("unit_test_3", {"n": 60, "causes": 2, "others": 2}),
}
SEEDS = [0, 1]
STEPS = 12  # of official solvers here: what is wrong with a method shows in the first


@cache
def problem(name: str, scrambled: bool = False) -> Dataset:
    """Return a problem's dataset."""
    plugin, params = PROBLEMS[name]
    cls = plugins.load("datasets", plugin)
    built: Dataset = cls(**params, **({"scrambled": True} if scrambled else {}))
    return built


def official_solver(method: Method, data: Dataset) -> Solver:
    """Return the official solver, shortened."""
    solver = resolve_solver(method, "official", data.loss)
    return solver if solver.optimizer == "closed_form" else dataclasses.replace(solver, steps=STEPS)


def refusal(method: Method, name: str, solver: Solver | None = None) -> str | None:
    """Return why a method does not run on a problem, or None."""
    data = problem(name)
    environments = data.sample(2, 0).targets.shape[0]
    return why_not(method, data, solver or official_solver(method, data), environments, data.population(0) is not None)


def batches(method: Method) -> Iterator[tuple[str, Batch]]:
    """Yield every problem that the method runs on, with its batch of two seeds."""
    for name in PROBLEMS:
        if refusal(method, name) is None:
            yield name, assembled(method, name)


def assembled(method: Method, name: str) -> Batch:
    """Return the batch of one method on a problem."""
    data = problem(name)
    return assemble(data, [method], official_solver(method, data), SEEDS)


@cache
def solved(method: Method, name: str) -> Tensor:
    """Return the coefficients [seeds, 1, P] that the solver finds."""
    return solve(assembled(method, name)).coefficients


@cache
def stepped(method: Method, name: str) -> Tensor:
    """Return the same without the solver's trace: less work for a setting that is looked at once."""
    return first_steps(assembled(method, name), STEPS)


def solved_together(datasets: tuple[Dataset, Dataset], method: Method, solver: Solver) -> Sequence[Tensor]:
    """Return the coefficients [seeds, P] on each of two datasets, solved as one batch."""
    drawn = [(data.truth(seed), training_data(data, method, solver, seed)) for data in datasets for seed in SEEDS]
    truths, data = zip(*drawn, strict=True)
    return solve(Batch([method], stack(data), list(truths), [solver], 2 * SEEDS)).coefficients[:, 0].chunk(2)
