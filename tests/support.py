"""What several tests build: batches of one method on one dataset, without suites, stores or files."""

from __future__ import annotations

from typing import Any

from irmbench import plugins
from irmbench.engine.batch import Batch
from irmbench.engine.solve import resolve_solver
from irmbench.interface import Dataset, Method, Solver
from irmbench.runner import Summary
from irmbench.runs.assembly import assemble
from irmbench.runs.plan import planned_ids
from irmbench.runs.store import Record, Store


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
    return assemble(data, methods, resolve_solver(methods[0], solver) if isinstance(solver, str) else solver, seeds)


def records_of(summary: Summary) -> list[Record]:
    """Return the stored records of the trials that a run asked for, in the order of the store."""
    planned = planned_ids(summary.folder)
    return [record for trial_id, record in Store(summary.folder).records().items() if trial_id in planned]
