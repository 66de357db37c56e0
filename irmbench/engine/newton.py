"""The converged solver: a batched saddle-free Newton method along a path from an easy problem to the real one.

A penalty with a large weight has narrow curved valleys and, at zero coefficients, a stationary point that a cold start
may fall into. So one start follows a path: it solves with the weight a million times smaller (or the maximum smoothed),
and moves to the real problem in stages. Others start cold, and the lowest objective wins. Each Newton step uses the
absolute eigenvalues of the Hessian (Dauphin et al. 2014, arXiv 1406.2572), so that it descends at saddles too, and is
the best of several lengths; at the end, steps are taken as long as they reduce the gradient. A trial's steps depend on
that trial alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from irmbench.engine.batch import Batch, Hyper, Tensors
from irmbench.engine.descent import Fit
from irmbench.engine.tracing import trace
from irmbench.least_squares import solve
from irmbench.moments import Moments

STAGES = 10.0 ** torch.arange(-6, 1)  # of the weight; of 1 / smoothing, from 1 to 1e-9 of the risk's scale
SMOOTHING = 10.0 ** torch.linspace(0, -9, len(STAGES))
LENGTHS = (4.0, 1.0, 0.5, 0.25, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-6)
EIGENVALUE_FLOOR = 1e-11  # of the largest: flat directions get steps that a line search can still shorten
RANDOM = 12
COLD = RANDOM + 2
POINTS = (1 + COLD) * len(LENGTHS)  # looked at together, for every trial
ITERATIONS = 100  # at most in a stage of the path
COLD_ITERATIONS = 40  # at most for a cold start: enough to see whether it leads lower
LAST_ITERATIONS = 1_000  # at most for the winner
AGREEMENT = 1e-6  # of the lowest objective: starts that come as close reached it
ROUNDING = 1e-14
POLISHING = 20
SHRINK = 4  # the few rows that still improve go on in a smaller batch, once they are this small a part of it
CALLS_BEFORE_TRACING = 60  # a trace costs about as much as it saves on this many calls


def converge(batch: Batch) -> Fit:
    """Return the best minimum found for every trial, with the norm of the objective's gradient there."""
    problem = Problem(batch)
    points = starts(batch).flatten(3)
    path, cold = points[:, :, :1], points[:, :, 1:]
    for fraction, smoothing in zip(STAGES.tolist(), SMOOTHING.tolist(), strict=True):
        problem.relax(fraction, smoothing)
        path = problem.descend(path, ITERATIONS)
    points = torch.cat([path, problem.descend(cold, COLD_ITERATIONS)], 2)
    values = problem.values(points).nan_to_num(nan=torch.inf)
    first = (values <= values.amin(-1, keepdim=True) + problem.rounding(path)).int().argmax(-1)  # of equals, the path
    winner = problem.descend(_take(points, first)[..., None, :], LAST_ITERATIONS)
    winner = problem.polish(winner)
    value, gradient, _ = problem.derivatives(winner)
    reached = (values <= value + AGREEMENT * value.abs()).sum(-1).clamp(min=1)  # the winner may still have descended
    coefficients = batch.coefficients(winner.view(*batch.shape, *problem.parameters))
    return Fit(coefficients, gradient[..., 0, :].norm(dim=-1), value[..., 0], reached)


def starts(batch: Batch) -> Tensor:
    """Return starting parameters of every trial, [S, H, 1 + COLD, ...].

    The first follows the path: pooled least squares. The others are cold: the mean of the environments' own least
    squares, ones, and fixed random numbers in a basis that turns with the inputs (the eigenvectors of the mean squared
    Gram matrix of whitened inputs, pointing along the mean of x y), so that a rotation of the inputs rotates every
    start but ones where those eigenvalues are distinct, and environments may come in any order. None but ones leads out
    of the space of the inputs, where no risk pulls it back.
    """
    moments = batch.moments
    gram, cross = moments.gram.mean(1), moments.cross.mean(1)
    pooled = solve(gram, cross)
    each = solve(moments.gram, moments.cross).mean(1)
    values, vectors = torch.linalg.eigh(gram)
    seen = values > EIGENVALUE_FLOOR * values[..., -1:]
    whiten = vectors * torch.where(seen, values, torch.inf).rsqrt()[..., None, :]
    white = whiten[:, None].mT @ moments.gram @ whiten[:, None]
    _, turned = torch.linalg.eigh((white @ white).mean(1))
    basis = whiten @ turned
    along = (basis * cross[..., None]).sum(-2, keepdim=True)
    basis = torch.where(along < 0, -basis, basis)
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(RANDOM, pooled.shape[-1], generator=generator, dtype=torch.float64).to(pooled)
    spread = (moments.target_square.mean(1) / pooled.shape[-1]).sqrt()
    drawn = spread[:, None, None] * (numbers @ basis.mT)
    points = torch.cat([pooled[:, None], each[:, None], torch.ones_like(pooled)[:, None], drawn], 1)
    lifted = torch.func.vmap(torch.func.vmap(lambda point: batch.method.parameters(point, batch.environments)))
    parameters: Tensor = lifted(points)
    return parameters[:, None].expand(-1, batch.shape[1], *parameters.shape[1:]).contiguous()


class Problem:
    """A batch's objective, its gradient and Hessian, at K points [S, H, K, N] of every trial, at one stage.

    N is the number of parameters, flat, whose shape is ``parameters``.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self.parameters = batch.method.parameters(torch.ones(batch.data.dimension), batch.environments).shape
        self._state = batch.method.initial_state(batch.environments).to(batch.device)
        self._scale = _risk_scale(batch.moments)[:, None].expand(batch.shape)
        self._values = _Traced(batch.lift(self._value, own=3, extra=True))
        self._derivatives = _Traced(batch.lift(self._value_gradient_hessian, own=3, extra=True))

    def relax(self, fraction: float, smoothing: float) -> None:
        """Set the stage: the fraction of the weight that leads the path (1 at the end), and the smoothing."""
        self._fraction, self._smoothing = fraction, smoothing

    def values(self, points: Tensor) -> Tensor:
        """Return the objective, [S, H, K]."""
        values: Tensor = self._values(points, *self._stage(points))
        return values

    def derivatives(self, points: Tensor) -> Tensors:
        """Return objective [S, H, K], gradient [S, H, K, N] and Hessian [S, H, K, N, N]."""
        derivatives: Tensors = self._derivatives(points, *self._stage(points))
        return derivatives

    def rounding(self, points: Tensor) -> Tensor:
        """Return the differences of the objective at such points that are rounding, [S, H, K].

        A risk is a difference of terms as large as it is at zero coefficients.
        """
        return ROUNDING * self.values(torch.zeros_like(points)).abs()

    def descend(self, points: Tensor, iterations: int, active: Tensor | None = None) -> Tensor:
        """Return the points after Newton steps, until none improves."""
        if active is None:
            active = torch.ones(points.shape[:3], dtype=torch.bool, device=points.device)
        rounding = self.rounding(points)
        for done in range(iterations):
            rows = active.flatten(1).any(1)
            if SHRINK * rows.sum() <= len(rows):
                if rows.any():
                    points = points.clone()
                    points[rows] = self._only(rows).descend(points[rows], iterations - done, active[rows])
                break
            value, gradient, hessian = self.derivatives(points)
            step = newton_step(gradient, hessian)
            lengths = torch.tensor(LENGTHS, dtype=points.dtype, device=points.device)
            candidates = points[..., None, :] - lengths[:, None] * step[..., None, :]
            reached = self.values(candidates.flatten(2, 3)).view(candidates.shape[:-1])
            lowest, index = reached.nan_to_num(nan=torch.inf).min(-1)
            active = active & (lowest < value - rounding - ROUNDING * value.abs())
            points = torch.where(active[..., None], _take(candidates, index), points)
        return points

    def polish(self, points: Tensor) -> Tensor:
        """Return the points after full Newton steps wherever they reduce the gradient.

        These are the last digits, which differences of the objective cannot see.
        """
        for _ in range(POLISHING):
            value, gradient, hessian = self.derivatives(points)
            candidates = points - newton_step(gradient, hessian)
            new_value, new_gradient, _ = self.derivatives(candidates)
            better = new_gradient.norm(dim=-1) < gradient.norm(dim=-1)
            better &= new_value <= value + 1e-12 * value.abs()
            if not better.any():
                break
            points = torch.where(better[..., None], candidates, points)
        return points

    def _only(self, rows: Tensor) -> Problem:
        """Return the problem of some of the batch's rows, at the same stage."""
        problem = Problem(self._batch.rows(rows.nonzero().flatten().tolist()))
        problem.relax(self._fraction, self._smoothing)
        return problem

    def _stage(self, points: Tensor) -> Tensors:
        """Return the fraction of the weight and the smoothing at every point."""
        fraction = torch.full(points.shape[:3], self._fraction, dtype=points.dtype, device=points.device)
        return fraction, (self._scale * self._smoothing)[..., None].expand(points.shape[:3])

    def _value(self, data: Tensors, hyper: Hyper, parameters: Tensor, fraction: Tensor, smoothing: Tensor) -> Tensor:
        path = self._batch.method.path
        if path in hyper:
            hyper = {**hyper, path: hyper[path] * fraction}
        method = self._batch.one(hyper)
        context = {"step": torch.full_like(smoothing, torch.inf), "state": self._state, "smoothing": smoothing}
        return method.objective(self._batch.view(data, method, parameters.view(self.parameters), **context))

    def _value_gradient_hessian(
        self, data: Tensors, hyper: Hyper, parameters: Tensor, fraction: Tensor, smoothing: Tensor
    ) -> Tensors:
        def value(at: Tensor) -> Tensor:
            return self._value(data, hyper, at, fraction, smoothing)

        def slope(at: Tensor) -> tuple[Tensor, Tensors]:
            gradient, objective = torch.func.grad_and_value(value)(at)
            return gradient, (gradient, objective)

        # Backwards twice: forwards, PyTorch's zero tangents cost more than the Hessian itself where numbers are few.
        hessian, (gradient, objective) = torch.func.jacrev(slope, has_aux=True)(parameters)
        return objective, gradient, hessian


def newton_step(gradient: Tensor, hessian: Tensor) -> Tensor:
    """Return |H|^-1 g, [..., N]: the Hessian's eigenvalues by absolute value, and not below a floor."""
    finite = torch.isfinite(hessian).all(-1, keepdim=True).all(-2, keepdim=True)
    eigenvalues, vectors = torch.linalg.eigh(torch.where(finite, hessian, 0.0))
    size = eigenvalues.abs()
    floor = EIGENVALUE_FLOOR * size.amax(-1, keepdim=True) + torch.finfo(size.dtype).tiny
    in_basis = (vectors.mT @ gradient[..., None])[..., 0] / torch.maximum(size, floor)
    step: Tensor = (vectors @ in_basis[..., None])[..., 0]
    return step


class _Traced:
    """A function that is traced once it has met a shape of arguments often enough."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._calls: Counter[torch.Size] = Counter()
        self._traces: dict[torch.Size, Callable[..., Any]] = {}

    def __call__(self, *arguments: Tensor) -> Any:
        shape = arguments[0].shape
        self._calls[shape] += 1
        if self._calls[shape] == CALLS_BEFORE_TRACING:
            self._traces[shape] = trace(self._function, *arguments)
        with torch.no_grad():
            return self._traces.get(shape, self._function)(*arguments)


def _risk_scale(moments: Moments) -> Tensor:
    """Return the mean square target over environments, [S]: what a smoothing is measured in."""
    return moments.target_square.mean(-1)


def _take(points: Tensor, index: Tensor) -> Tensor:
    """Return points [..., K, N] at ``index`` [...] of K."""
    return points.gather(-2, index[..., None, None].expand(*index.shape, 1, points.shape[-1]))[..., 0, :]
