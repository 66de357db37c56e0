"""Choose how a batch is solved: closed form, published optimiser, or converged."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from irmbench.engine.batch import Batch, Hyper, Tensors
from irmbench.engine.descent import Fit, descend
from irmbench.engine.newton import converge
from irmbench.interface import ADAM, Dataset, Loss, Method, Oracle, Solver, Truth, stream

WORKSPACE = 2**26  # numbers that closed forms hold at once


def solve(batch: Batch, record_every: int = 0) -> Fit:
    """Fit every trial of the batch."""
    if uses_closed_form(batch.method, batch.solver, batch.loss):
        return Fit(closed_form(batch))
    if batch.solver.optimizer == "newton":
        return converge(batch)
    return descend(batch, record_every)


def uses_closed_form(method: Method, solver: Solver, loss: Loss) -> bool:
    """Whether ``fit`` serves: it is the converged solution, and the only one where there is nothing to descend."""
    if not method.defines("fit") or loss not in method.closed_form_losses:
        return False
    return solver.optimizer in ("newton", "closed_form") or not descends(method)


def solved_by(method: Method, solver: Solver, loss: Loss) -> str:
    """Return in words what solves a trial."""
    if uses_closed_form(method, solver, loss):
        return "closed form"
    if solver.optimizer == "newton":
        return "Newton"
    usual = Solver()
    unusual = {
        f"rate {solver.learning_rate:g}": solver.learning_rate != usual.learning_rate,
        f"decay {solver.weight_decay:g}": solver.weight_decay != usual.weight_decay,
        f"from {solver.start}": solver.start != usual.start,
        f"reset at {solver.reset_at}": solver.reset_at is not None,
        "on the population": solver.data == "population" and solver.name != "population",
    }
    return ", ".join([f"{solver.optimizer} {solver.steps:,} steps", *(name for name, true in unusual.items() if true)])


def descends(method: Method) -> bool:
    """Whether the method can be run step by step."""
    return method.defines("objective") or method.defines("direction")


def closed_form(batch: Batch) -> Tensor:
    """Return the closed forms' coefficients, [S, H, P]."""
    on_moments = dataclasses.replace(batch, data=batch.moments)
    seeds, draws = batch.shape
    rows = max(1, WORKSPACE // (draws * batch.method.workspace(batch.moments.dimension)))
    if rows >= seeds:
        return _closed_form(on_moments)
    parts = [range(i, min(i + rows, seeds)) for i in range(0, seeds, rows)]
    return torch.cat([_closed_form(on_moments.rows(part)) for part in parts])


def _closed_form(batch: Batch) -> Tensor:
    def fit(data: Tensors, hyper: Hyper, *told: Tensor) -> Tensor:
        moments, method = batch.moments.with_tensors(*data), batch.one(hyper)
        if isinstance(method, Oracle):
            *truth, noise = told
            return method.fit(moments, Truth(*truth), noise)
        return method.fit(moments)

    coefficients: Tensor = batch.lift(fit, own=0)(*_told(batch) if isinstance(batch.method, Oracle) else ())
    return coefficients


def _told(batch: Batch) -> Tensors:
    """Return what oracles are told: every seed's truth and noise."""
    truths = [torch.stack(group) for group in zip(*(dataclasses.astuple(t) for t in batch.truths), strict=True)]
    noise = [stream("oracle", seed).standard_normal(batch.moments.dimension) for seed in batch.seeds]
    return *truths, torch.from_numpy(np.stack(noise)).to(batch.device)


def undefined(batch: Batch, s: int, h: int) -> str | None:
    """Return why the moments of seed s do not define the closed form of draw h, or None."""
    if not uses_closed_form(batch.method, batch.solver, batch.loss):
        return None
    moments = batch.moments.with_tensors(*(tensor[s] for tensor in batch.moments.tensors))
    return batch.methods[h].undefined(moments)


def resolve_solver(method: Method, name: str, loss: Loss = "squared", **changes: Any) -> Solver:
    """Return the solver a suite or the command line names, for this method under this loss."""
    closed = method.official.optimizer == "closed_form" and loss not in method.closed_form_losses
    base = {
        "official": ADAM if closed and descends(method) else method.official,
        "converged": Solver(optimizer="newton"),
        "population": Solver(optimizer="newton", data="population"),
    }[name]
    return dataclasses.replace(base, name=name, **changes)


def why_not(method: Method, dataset: Dataset, solver: Solver, environments: int, has_population: bool) -> str | None:
    """Return why this trial cannot run, or None."""
    name = type(method).__name__
    if dataset.network is not None and (solver.optimizer not in ("sgd", "adam") or not descends(method)):
        return "a network has no closed form and no single optimum: official solvers run it, where a method has steps"
    if dataset.sizes is not None and (method.needs_examples or method.needs_split):
        return f"{name} needs examples, and environments of unequal size are kept as moments"
    if environments < method.min_environments:
        return f"{name} needs {method.min_environments} environments, the dataset has {environments}"
    if method.trains_on == "testing" and type(dataset).fresh_sample is Dataset.fresh_sample:
        return f"{name} trains on the test environments, and the dataset draws one sample of them only"
    if solver.data == "population" and not has_population:
        return "the dataset has no population moments in closed form"
    if not descends(method) and dataset.loss not in method.closed_form_losses:
        return f"the closed form of {name} is for {' or '.join(method.closed_form_losses)} loss"
    if solver.optimizer == "closed_form" and not uses_closed_form(method, solver, dataset.loss):
        return f"{name} has no closed form for {dataset.loss} loss"
    if solver.optimizer == "newton" and not method.defines("objective") and not method.defines("fit"):
        return f"{name} is defined by its updates and has no objective: only official solvers run it"
    return method.not_applicable(dataset, solver)
