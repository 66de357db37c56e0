"""Official optimisers: plain gradient descent and Adam, for a fixed number of steps, as the papers run them.

Adam: Kingma and Ba 2015, arXiv 1412.6980, algorithm 1, with ``torch.optim.Adam``'s defaults. Weight decay adds
``weight_decay * parameters`` to the direction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from irmbench.engine.arrays import on_arrays
from irmbench.engine.batch import Batch, Hyper, Splitter, Tensors
from irmbench.engine.logistic import Signed, sign, without_unused
from irmbench.engine.tracing import compile_trace, trace
from irmbench.environments import Environments
from irmbench.errors import NeedsExamplesError
from irmbench.interface import Method
from irmbench.moments import Examples

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
COMPILE_FROM = 20_000  # steps: compiling takes as long as about 10,000 steps that are not compiled
MANY = 2**12  # examples in all environments: of fewer, PyTorch takes a step as fast as compiling loops is worth
CHAIN = 5  # steps compiled into one function: calling it costs as much as running some of them


@dataclass(frozen=True)
class Fit:
    """What a solver found: coefficients [S, H, P], the objective's gradient norm [S, H] where there is an objective."""

    coefficients: Tensor
    gradient_norm: Tensor | None = None
    objective: Tensor | None = None
    starts_at_best: Tensor | None = None  # how many of a converged solver's starts reached the lowest objective
    trajectory: list[tuple[int, Tensor]] = field(default_factory=list)

    def to(self, device: str) -> Fit:
        """Return the same on another device."""
        names = ("coefficients", "gradient_norm", "objective", "starts_at_best")
        tensors = {name: tensor.to(device) for name in names if (tensor := getattr(self, name)) is not None}
        return Fit(**tensors, trajectory=[(k, at.to(device)) for k, at in self.trajectory])


def descend(batch: Batch, record_every: int = 0) -> Fit:
    """Run the batch's optimiser; record coefficients at steps 0, K, 2K, ... and the last, each after its update."""
    loop = Loop(batch)
    last = batch.solver.steps - 1
    trajectory = []
    with torch.no_grad():
        for stop in sorted({*range(0, last, record_every), last}) if record_every else ():
            trajectory.append((stop, batch.coefficients(loop.run(stop + 1)[0])))
        own = loop.run(batch.solver.steps)
        return Fit(batch.coefficients(own[0]), **_diagnose(batch, own, loop.shared()), trajectory=trajectory)


class Loop:
    """The steps of a batch: on NumPy where its numbers are few, compiled where steps are many, else on PyTorch."""

    def __init__(self, batch: Batch) -> None:
        try:
            self._prepare(laid_out(batch))
        except NeedsExamplesError:
            self._prepare(batch)

    def _prepare(self, batch: Batch) -> None:
        self._own, self.done = start(batch), 0
        self._step = torch.zeros(batch.shape[0], dtype=torch.float64, device=batch.device)
        self._splitter = splitter(batch)
        split = [self._splitter.nothing()] if self._splitter else []  # tracing must not use up random numbers
        self._one = trace(batch.lift(one_step(batch), own=len(self._own)), *self._own, self._step, *split)
        if compiled := isinstance(batch.data, Signed):
            self._one = without_unused(self._one)
        self._on_arrays = on_arrays(self._one) if self._splitter is None and not compiled else None
        self._chain = None
        if batch.solver.steps >= COMPILE_FROM and not (self._splitter or self._on_arrays or compiled):
            self._chain = compile_trace(self._several, *self._own, self._step)

    @property
    def runs_on(self) -> str:
        """What takes the steps."""
        return "NumPy" if self._on_arrays is not None else "PyTorch" if self._chain is None else "compiled code"

    def shared(self) -> Tensors:
        """Return what changes from step to step and is not a trial's own: the step number [S], and a fresh split."""
        return self._step + self.done, *([self._splitter()] if self._splitter else [])

    def run(self, steps: int) -> Tensors:
        """Go on until ``steps`` are done; return what every trial carries then."""
        if self._on_arrays is not None:
            return self._run_on_arrays(self._on_arrays, steps)
        while self.done < steps:
            advance, count = self._one, 1
            if self._chain is not None and steps - self.done >= CHAIN:
                advance, count = self._chain, CHAIN
            self._own = advance(*self._own, *self.shared())
            self.done += count
        return self._own

    def _run_on_arrays(self, one: Callable[..., Any], steps: int) -> Tensors:
        own, step = [tensor.numpy() for tensor in self._own], self._step.numpy()
        with np.errstate(all="ignore"):  # as on PyTorch, what is not finite shows in the result
            while self.done < steps:
                own = one(*own, step + self.done)
                self.done += 1
        self._own = tuple(torch.from_numpy(np.array(array)) for array in own)
        return self._own

    def _several(self, *arguments: Tensor) -> Tensors:
        own, step = arguments[:-1], arguments[-1]
        for k in range(CHAIN):
            own = self._one(*own, step + k)
        return own


def laid_out(batch: Batch) -> Batch:
    """Return the batch with its examples laid out for compiled loops, where those may do all that is asked for."""
    data, method = batch.data, batch.method
    if (
        not isinstance(data, Examples)
        or not data.logistic
        or data.network is not None
        or data.inputs.device.type != "cpu"
    ):
        return batch
    if method.needs_examples or method.needs_split or data.targets[0].numel() < MANY:
        return batch
    return dataclasses.replace(batch, data=sign(data))


def start(batch: Batch) -> Tensors:
    """Return what every trial carries between steps: parameters, the method's state, Adam's two moments."""
    parameters = batch.start()
    state = _first_state(batch, parameters)
    if batch.solver.optimizer == "sgd":
        return parameters, state
    return parameters, state, torch.zeros_like(parameters), torch.zeros_like(parameters)


def _first_state(batch: Batch, parameters: Tensor) -> Tensor:
    """Return the method's state before the first step, expanded to the shape that its updates have."""
    state = batch.per_trial(batch.method.initial_state(batch.environments).to(batch.device))
    if not state.numel():
        return state

    def update(data: Tensors, hyper: Hyper, parameters: Tensor, state: Tensor, step: Tensor, *half: Tensor) -> Tensor:
        method, env = _seen(batch, data, hyper, parameters, state, step, half)
        return method.next_state(env)

    step = torch.zeros(batch.shape[0], dtype=torch.float64, device=batch.device)
    split = [drawn.nothing()] if (drawn := splitter(batch)) else []
    updated: Tensor = batch.lift(update, own=2)(parameters, state, step, *split)
    return state.expand_as(updated).contiguous()


def one_step(batch: Batch) -> Callable[..., Tensors]:
    """Return the update of one trial: ``(data, hyper, *own, step, *half) -> own``."""

    def step_sgd(
        data: Tensors, hyper: Hyper, parameters: Tensor, state: Tensor, step: Tensor, *half: Tensor
    ) -> Tensors:
        direction, state = _direction(batch, data, hyper, parameters, state, step, half)
        return batch.one(hyper).project(parameters - hyper["solver.learning_rate"] * direction), state

    def step_adam(
        data: Tensors,
        hyper: Hyper,
        parameters: Tensor,
        state: Tensor,
        m: Tensor,
        v: Tensor,
        step: Tensor,
        *half: Tensor,
    ) -> Tensors:
        direction, state = _direction(batch, data, hyper, parameters, state, step, half)
        if (reset := batch.solver.reset_at) is not None:
            kept, step = (step != reset).to(m.dtype), torch.where(step < reset, step, step - reset)
            m, v = m * kept, v * kept
        m = BETA1 * m + (1 - BETA1) * direction
        v = BETA2 * v + (1 - BETA2) * direction**2
        unbiased_m, unbiased_v = m / (1 - BETA1 ** (step + 1)), v / (1 - BETA2 ** (step + 1))
        moved = parameters - hyper["solver.learning_rate"] * unbiased_m / (unbiased_v.sqrt() + EPSILON)
        return batch.one(hyper).project(moved), state, m, v

    return step_sgd if batch.solver.optimizer == "sgd" else step_adam


def _direction(
    batch: Batch, data: Tensors, hyper: Hyper, parameters: Tensor, state: Tensor, step: Tensor, half: Tensors
) -> tuple[Tensor, Tensor]:
    method, env = _seen(batch, data, hyper, parameters, state, step, half)
    env.state = method.next_state(env)
    direction = method.direction(env)
    if any(solver.weight_decay for solver in batch.solvers):
        direction = direction + hyper["solver.weight_decay"] * parameters
    return direction, env.state


def _seen(
    batch: Batch, data: Tensors, hyper: Hyper, parameters: Tensor, state: Tensor, step: Tensor, half: Tensors
) -> tuple[Method, Environments]:
    """Return one trial's method, and the environments as it sees them at a step."""
    method = batch.one(hyper)
    return method, batch.view(data, method, parameters, step=step, state=state, half=half[0] if half else None)


def splitter(batch: Batch) -> Splitter | None:
    """Return what splits the examples at every step, where the method asks for it."""
    if batch.method.needs_split and isinstance(batch.data, Examples):
        return Splitter(batch.data, batch.seeds, batch.method.split_size)
    return None


def _diagnose(batch: Batch, own: Tensors, shared: Tensors) -> dict[str, Tensor]:
    """Return the norm of the objective's gradient at the last parameters, and the objective, [S, H] each."""
    if not batch.method.defines("objective"):
        return {}

    def look(data: Tensors, hyper: Hyper, parameters: Tensor, state: Tensor, step: Tensor, *half: Tensor) -> Tensors:
        method, env = _seen(batch, data, hyper, parameters, state, step, half)
        gradient, value = torch.func.grad_and_value(lambda at: method.objective(env.at(at)))(parameters)
        return gradient.norm(), value

    norm, value = batch.lift(look, own=2)(*own[:2], *shared)
    return {"gradient_norm": norm, "objective": value}
