"""The converged solver: a batched saddle-free Newton method along a path that leads from an easy problem to the real one.

A penalty with a large weight has narrow curved valleys and, at zero coefficients, a stationary point that a cold start
may fall into. So one start follows a path: it solves with the weight a million times smaller (or the maximum smoothed),
and moves to the real problem in stages. Others start cold, and the lowest objective wins. Each Newton step uses the
absolute eigenvalues of the Hessian (Dauphin et al. 2014, arXiv 1406.2572), so that it descends at saddles too, and is
the best of several lengths; at the end, steps are taken as long as they reduce the gradient.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from irmbench.batch import Batch, Hyper, Tensors, trace
from irmbench.descent import Fit
from irmbench.moments import Moments

STAGES = 10.0 ** torch.arange(-6, 1)  # of the weight; of 1 / smoothing, from 1 to 1e-9 of the risk's scale
SMOOTHING = 10.0 ** torch.linspace(0, -9, len(STAGES))
LENGTHS = (4.0, 1.0, 0.5, 0.25, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-6)
EIGENVALUE_FLOOR = 1e-11  # of the largest: flat directions get steps that a line search can still shorten
ITERATIONS = 100  # per stage; a stage ends as soon as no trial improves
POLISHING = 20


def converge(batch: Batch, progress: Callable[[int], object] = lambda steps: None) -> Fit:
    """Return the best minimum found for every trial, with the norm of the objective's gradient there."""
    problem = Problem(batch)
    points = starts(batch).flatten(3)
    for weight, smoothing in zip(STAGES.tolist(), SMOOTHING.tolist(), strict=True):
        problem.relax(weight, smoothing)
        points = problem.descend(points, ITERATIONS)
        progress(1)
    points = problem.polish(points)
    value, gradient, _ = problem.derivatives(points)
    best = value.nan_to_num(nan=torch.inf).argmin(-1)
    read = batch.lift(lambda data, hyper, at: batch.one(hyper).coefficients(at.view(problem.parameters)), own=1)
    coefficients = read(_take(points, best))
    return Fit(coefficients, _take(gradient, best).norm(dim=-1), value.gather(-1, best[..., None])[..., 0])


def starts(batch: Batch) -> Tensor:
    """Return K starting parameters per trial, [S, H, K, ...]: pooled and mean per-environment least squares, and ones.

    The first follows the path.
    """
    moments = batch.moments
    pooled = torch.linalg.lstsq(moments.gram.mean(1), moments.cross.mean(1)[..., None]).solution[..., 0]
    each = torch.linalg.lstsq(moments.gram, moments.cross[..., None]).solution[..., 0].mean(1)
    points = torch.stack([pooled, each, torch.ones_like(pooled)], 1)
    parameters = torch.func.vmap(torch.func.vmap(batch.method.parameters))(points)
    return parameters[:, None].expand(-1, batch.shape[1], *parameters.shape[1:]).contiguous()


class Problem:
    """A batch's objective, its gradient and Hessian, at K points [S, H, K, N] of every trial, at one stage.

    N is the number of parameters, flat, whose shape is ``parameters``.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self.parameters = batch.method.parameters(torch.ones(batch.data.dimension)).shape
        self._scale = _risk_scale(batch.moments)[:, None].expand(batch.shape)
        self._values = _Traced(batch.lift(self._value, own=3, extra=True))
        self._derivatives = _Traced(batch.lift(self._value_gradient_hessian, own=3, extra=True))

    def relax(self, weight: float, smoothing: float) -> None:
        """Set the stage: the first start's fraction of the penalty weight, everyone's smoothing."""
        self._weight, self._smoothing = weight, smoothing

    def values(self, points: Tensor) -> Tensor:
        """Return the objective, [S, H, K]."""
        return self._values(points, *self._stage(points))

    def derivatives(self, points: Tensor) -> Tensors:
        """Return objective [S, H, K], gradient [S, H, K, N] and Hessian [S, H, K, N, N]."""
        return self._derivatives(points, *self._stage(points))

    def descend(self, points: Tensor, iterations: int) -> Tensor:
        """Return the points after Newton steps, until none improves; a point's steps depend on that point alone."""
        active = torch.ones(points.shape[:3], dtype=torch.bool, device=points.device)
        for _ in range(iterations):
            value, gradient, hessian = self.derivatives(points)
            step = newton_step(gradient, hessian)
            lengths = torch.tensor(LENGTHS, dtype=points.dtype, device=points.device)
            candidates = points[..., None, :] - lengths[:, None] * step[..., None, :]
            trial_values = self.values(candidates.flatten(2, 3)).unflatten(2, (-1, len(LENGTHS)))
            lowest, index = trial_values.nan_to_num(nan=torch.inf).min(-1)
            improved = active & (lowest < value - 1e-15 * value.abs())
            chosen = _take(candidates, index)
            points = torch.where(improved[..., None], chosen, points)
            active = improved
            if not active.any():
                break
        return points

    def polish(self, points: Tensor) -> Tensor:
        """Return the points after full Newton steps wherever they reduce the gradient: the last digits, which differences
        of the objective cannot see.
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

    def _stage(self, points: Tensor) -> Tensors:
        """Return the fraction of the weight and the smoothing at every point; of each K, the first third is start one."""
        per_start = points.shape[2] // 3
        fraction = torch.ones(points.shape[:3], dtype=points.dtype, device=points.device)
        fraction[..., :per_start] = self._weight
        smoothing = (self._scale * self._smoothing)[..., None].expand(points.shape[:3])
        return fraction, smoothing

    def _value(self, data: Tensors, hyper: Hyper, parameters: Tensor, fraction: Tensor, smoothing: Tensor) -> Tensor:
        path = self._batch.method.path
        if path in hyper:
            hyper = {**hyper, path: hyper[path] * fraction}
        env = self._batch.view(data, hyper, parameters.view(self.parameters), smoothing=smoothing)
        return env.method.objective(env)

    def _value_gradient_hessian(
        self, data: Tensors, hyper: Hyper, parameters: Tensor, fraction: Tensor, smoothing: Tensor
    ) -> Tensors:
        def value(at: Tensor) -> Tensor:
            return self._value(data, hyper, at, fraction, smoothing)

        gradient, objective = torch.func.grad_and_value(value)(parameters)
        return objective, gradient, torch.func.hessian(value)(parameters)


def newton_step(gradient: Tensor, hessian: Tensor) -> Tensor:
    """Return |H|^-1 g, [..., N]: the Hessian's eigenvalues by absolute value, and not below a floor."""
    finite = torch.isfinite(hessian).all(-1, keepdim=True).all(-2, keepdim=True)
    eigenvalues, vectors = torch.linalg.eigh(torch.where(finite, hessian, 0.0))
    size = eigenvalues.abs()
    floor = EIGENVALUE_FLOOR * size.amax(-1, keepdim=True) + torch.finfo(size.dtype).tiny
    in_basis = (vectors.mT @ gradient[..., None])[..., 0] / torch.maximum(size, floor)
    return (vectors @ in_basis[..., None])[..., 0]


class _Traced:
    """A function traced anew for every shape it meets."""

    def __init__(self, function: Callable[..., Tensor | Tensors]) -> None:
        self._function = function
        self._traces: dict[torch.Size, Callable[..., Tensor | Tensors]] = {}

    def __call__(self, *arguments: Tensor) -> Tensor | Tensors:
        shape = arguments[0].shape
        if shape not in self._traces:
            self._traces[shape] = trace(self._function, *arguments)
        with torch.no_grad():
            return self._traces[shape](*arguments)


def _risk_scale(moments: Moments) -> Tensor:
    """Return the mean square target over environments, [S]: what a smoothing is measured in."""
    return moments.target_square.mean(-1)


def _take(points: Tensor, index: Tensor) -> Tensor:
    """Return points [..., K, N] at ``index`` [...] of K."""
    return points.gather(-2, index[..., None, None].expand(*index.shape, 1, points.shape[-1]))[..., 0, :]
