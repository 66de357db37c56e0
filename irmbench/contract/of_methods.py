"""What every method must keep to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor

from irmbench.contract.findings import BrokenError, NotCheckedError, require
from irmbench.contract.first_steps import first_steps
from irmbench.contract.small_problems import (
    PROBLEMS,
    SEEDS,
    STEPS,
    batches,
    problem,
    refusal,
    solved,
    solved_together,
    stepped,
)
from irmbench.contract.variations import AnyField, variations
from irmbench.engine.batch import Batch
from irmbench.engine.risks import environments
from irmbench.engine.solve import descends, resolve_solver, why_not
from irmbench.errors import plain_words
from irmbench.interface import Method, Solver
from irmbench.parameters import checked

TOLERANCE = 1e-8  # relative, of coefficients that should be equal up to rounding: a few steps move them little
SMALL = 1e-9


def metadata(method: Method) -> str:
    """Every field is described, defaults are in range, and the paper and family are named."""
    require(bool(method.paper), "name the paper, with its arXiv number and equation")
    require(bool(method.family), "name the family")
    checked(type(method), type(method).__name__, {})
    missing = [f.name for f in dataclasses.fields(method) if not f.metadata.get("help")]
    require(not missing, f"declare with `hyper(default, help)`: {', '.join(missing)}")
    levels = [level for level in ("objective", "direction", "fit") if method.defines(level)]
    require(bool(levels), "override objective, direction or fit")
    return f"overrides {', '.join(levels)}; {len(dataclasses.fields(method))} hyper-parameters"


def applicability(method: Method) -> str:
    """On every problem it runs, or says in one line why not."""
    running, not_running = [], []
    for name in PROBLEMS:
        reason = refusal(method, name)
        if reason is None:
            running.append(name)
            continue
        require(bool(reason.strip()) and "\n" not in reason, f"give a reason of one line on {name}, not {reason!r}")
        not_running.append(f"{name} ({reason})")
    require(bool(running), f"it runs on none of the problems: {'; '.join(not_running)}")
    return f"runs on {', '.join(running)}" + (f"; not on {'; '.join(not_running)}" if not_running else "")


def shapes_and_values(method: Method) -> str:
    """Coefficients are one finite number a parameter."""
    for name, batch in batches(method):
        coefficients = solved(method, name)
        expected = (*batch.shape, batch.data.dimension)
        require(coefficients.shape == expected, f"{name}: shape {tuple(coefficients.shape)}, not {expected}")
        require(bool(torch.isfinite(coefficients).all()), f"{name}: not finite, {coefficients[0, 0].tolist()}")
    return "finite, one a parameter"


def determinism(method: Method) -> str:
    """The same trial gives the same numbers."""
    for name, batch in batches(method):
        first, second = stepped(method, name), first_steps(batch, STEPS)
        require(torch.equal(first, second), f"{name}: a second run differs by {_gap(first, second):.1e}")
    return "two runs are equal"


def batch_invariance(method: Method) -> str:
    """A trial's numbers do not depend on what it is batched with, nor on whether its steps are traced."""
    worst = 0.0
    for name, batch in batches(method):
        alone, together = first_steps(batch.rows([1]), STEPS), solved(method, name)[1:]
        worst = max(worst, gap := _gap(alone, together))
        require(gap <= TOLERANCE, f"{name}: alone and in a batch differ by {gap:.1e} (allowed {TOLERANCE:.0e})")
    return f"differs by at most {worst:.1e}"


def order_of_environments(method: Method) -> str:
    """Coefficients do not depend on the order of environments, unless the method says that they do."""
    if method.ordered:
        raise NotCheckedError("the method declares that order matters")
    if method.needs_split:
        raise NotCheckedError("random splits belong to positions")
    for name, batch in batches(method):
        data = batch.data.with_tensors(*(tensor.flip(1) for tensor in batch.data.tensors))
        gap = _gap(first_steps(dataclasses.replace(batch, data=data), STEPS), solved(method, name))
        require(
            gap <= TOLERANCE, f"{name}: differs by {gap:.1e} in another order; declare `ordered = True` if it should"
        )
    return "makes no difference"


def rotation_of_the_inputs(method: Method) -> str:
    """Rotated inputs rotate the coefficients, where the method claims to tolerate scrambling."""
    if method.tolerates.scrambled != "yes":
        raise NotCheckedError("not claimed (tolerates.scrambled)")
    for solver in _rotation_solvers(method):
        for name in ("chain", "mean shift", "intercept"):
            plain, turned = (problem(name, scrambled) for scrambled in (False, True))
            if refusal(method, name, solver) is not None or why_not(method, turned, solver, 3, True) is not None:
                continue
            fit, rotated = solved_together((plain, turned), method, solver)
            basis = torch.stack([turned.truth(seed).basis(fit.shape[-1]) for seed in SEEDS])
            gap = _gap((basis @ rotated[..., None])[..., 0], fit)
            require(gap <= 1e-6, f"{name}, {solver.name}: differs by {gap:.1e} after a rotation")
            return f"rotates the coefficients ({solver.name} on {name})"
    raise NotCheckedError("no problem can be rotated under a solver that starts in no particular direction")


def hyper_parameters(method: Method) -> str:
    """Every hyper-parameter changes the result somewhere."""
    fields = dataclasses.fields(method)
    without = [f.name for f in fields if not _matters(method, f)]
    require(not without, f"no effect on any problem here: {', '.join(without)}")
    return f"all {len(fields)} change the result" if fields else "there are none"


def gradient(method: Method) -> str:
    """The direction is the objective's gradient, by central differences."""
    if not method.defines("objective"):
        raise NotCheckedError("there is no objective")
    if method.defines("direction"):
        raise NotCheckedError("the method states a direction of its own")
    if method.needs_split:
        raise NotCheckedError("the objective is another one at every step, of a new random split")
    worst = 0.0
    for name, batch in batches(method):
        worst = max(worst, gap := _gradient_gap(method, batch))
        require(gap <= 1e-4, f"{name}: the gradient differs from finite differences by {gap:.1e} of its length")
    return f"differs from finite differences by at most {worst:.1e} of its length"


def no_host_values(method: Method) -> str:
    """A step runs on the meta device, where asking for a value or mixing devices raises."""
    for name, batch in batches(method):
        truths = [truth.to("meta") for truth in batch.truths]
        data = batch.data.with_tensors(*(tensor.to("meta") for tensor in batch.data.tensors))
        try:
            first_steps(dataclasses.replace(batch, data=data, truths=truths), 1)
        except Exception as error:
            raise BrokenError(f"{name}: {plain_words(str(error))}") from error
    return "a step runs on the meta device"


CHECKS = (
    metadata,
    applicability,
    shapes_and_values,
    determinism,
    batch_invariance,
    order_of_environments,
    rotation_of_the_inputs,
    hyper_parameters,
    gradient,
    no_host_values,
)


def _rotation_solvers(method: Method) -> Iterator[Solver]:
    """Yield solvers that turn with the inputs: the converged one on a population, and plain descent from zero."""
    if method.defines("fit") or method.defines("objective"):
        yield resolve_solver(method, "population")
    if descends(method):
        yield Solver("plain descent", optimizer="sgd", learning_rate=1e-6, steps=STEPS, start=0.0)


def _matters(method: Method, field: AnyField) -> bool:
    """Whether two settings that differ in this field lead to other coefficients on some problem."""
    pairs = list(variations(method, field, STEPS))
    return any(
        not torch.equal(stepped(one, name), stepped(other, name))
        for name in PROBLEMS
        for one, other in pairs
        if refusal(one, name) is None and refusal(other, name) is None
    )


def _gradient_gap(method: Method, batch: Batch) -> float:
    """Return the largest distance of the first seed's gradient to central differences, relative to its length."""
    data = batch.data.with_tensors(*(tensor[0] for tensor in batch.data.tensors))
    point = 0.5 + torch.rand(data.dimension, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    at = method.parameters(point, batch.environments)
    context = {"state": method.initial_state(batch.environments), "step": torch.tensor(torch.inf)}

    def objective(parameters: Tensor) -> Tensor:
        return method.objective(environments(data, method, parameters, **context))

    exact = torch.func.grad(objective)(at).flatten()
    steps = 1e-5 * torch.eye(at.numel(), dtype=torch.float64).view(-1, *at.shape)
    central = torch.stack([(objective(at + h) - objective(at - h)) / 2e-5 for h in steps])
    return float((exact - central).norm() / (exact.norm() + SMALL))


def _gap(value: Tensor, reference: Tensor) -> float:
    return float((value - reference).norm() / (reference.norm() + SMALL))
