"""What several tests build: batches of one method on one dataset, without suites, stores or files."""

from __future__ import annotations

from typing import Any

from irmbench import plugins
from irmbench.batch import Batch
from irmbench.interface import Dataset, Method, Solver
from irmbench.moments import compress, stack
from irmbench.risks import Data
from irmbench.solve import resolve_solver
from irmbench.sources import needs_examples


def method(name: str, **params: Any) -> Method:
    """Return a method by its id."""
    return plugins.load("methods", name)(**params)


def dataset(name: str, **params: Any) -> Dataset:
    """Return a dataset by its id."""
    return plugins.load("datasets", name)(**params)


def batch(data: Dataset, methods: Method | list[Method], solver: str | Solver, seeds: list[int] | int = 1) -> Batch:
    """Return the batch of a dataset's seeds by methods that differ in floats only."""
    methods = methods if isinstance(methods, list) else [methods]
    seeds = list(range(seeds)) if isinstance(seeds, int) else seeds
    solver = resolve_solver(methods[0], solver) if isinstance(solver, str) else solver
    return Batch(
        methods=methods,
        data=stack([_data(data, methods[0], solver, seed) for seed in seeds]),
        truths=[data.truth(seed) for seed in seeds],
        solvers=[solver] * len(methods),
        seeds=seeds,
    )


def _data(data: Dataset, method: Method, solver: Solver, seed: int) -> Data:
    if solver.data == "population":
        moments = data.population(seed)
        assert moments is not None
        return moments
    examples = data.sample(data.n, seed)
    return examples if needs_examples(data, method, solver) else compress(examples)
