"""A batch of one method on one dataset, without suites, stores or files."""

from __future__ import annotations

from collections.abc import Sequence

from irmbench.engine.batch import Batch
from irmbench.engine.risks import Data
from irmbench.interface import Dataset, Method, Solver
from irmbench.moments import stack
from irmbench.runs.sources import drawn, drawn_moments, exact, needs_examples


def assemble(dataset: Dataset, methods: Sequence[Method], solver: Solver, seeds: Sequence[int]) -> Batch:
    """Return the batch of a dataset's seeds by methods that differ in floats only."""
    return Batch(
        methods=list(methods),
        data=stack([training_data(dataset, methods[0], solver, seed) for seed in seeds]),
        truths=[dataset.truth(seed) for seed in seeds],
        solvers=[solver] * len(methods),
        seeds=list(seeds),
    )


def training_data(dataset: Dataset, method: Method, solver: Solver, seed: int) -> Data:
    """Return one seed's training environments as the method needs them under the solver."""
    if solver.data == "population":
        moments = exact(dataset, method.trains_on, seed)
        if moments is None:
            raise ValueError(f"{type(dataset).__name__} has no population moments")
        return moments
    if needs_examples(dataset, method, solver):
        return drawn(dataset, method.trains_on, seed)
    return drawn_moments(dataset, method.trains_on, seed)
