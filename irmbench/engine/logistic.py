"""What steps on linear logistic environments need of their examples, as operators that vmap, autograd and traces know.

`irmbench::logistic_sums` gives risks and gradients, `irmbench::logistic_curvature` a Hessian's product; both take all
draws of all seeds at once and call compiled loops. `Signed` is the data laid out for them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.nn.functional import pad

from irmbench.errors import NeedsExamplesError
from irmbench.moments import Examples, compress

BLOCK = 512  # examples whose inputs lie in the nearest cache, 32 kB, beside what is computed of them
VECTOR = 8  # float32 numbers that a processor takes at once
INPUTS = 4  # that are multiplied in one pass
POINT = 3  # dimensions of a point per trial [S, M, P]


@dataclass(frozen=True)
class Signed:
    """Linear logistic environments as z = (2y - 1) (x, 1), and their second moments.

    Attributes:
        blocks: z as float32, zero beyond the last example and below the last row, [..., E, K, 4 ceil((d + 1) / 4), B].
        second: E[x x'] of inputs x, with a one for an intercept where there is one, [..., E, P, P].
        mean: E[x], [..., E, P].
        n: examples per environment.
        intercept: whether the last coefficient is one.

    """

    blocks: Tensor
    second: Tensor
    mean: Tensor
    n: int
    intercept: bool

    logistic = True
    network = None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What varies over trials, leading dimensions first."""
        return self.blocks, self.second, self.mean

    def with_tensors(self, blocks: Tensor, second: Tensor, mean: Tensor) -> Signed:
        """Return the same with other tensors."""
        return dataclasses.replace(self, blocks=blocks, second=second, mean=mean)

    @property
    def dimension(self) -> int:
        """Parameters of a predictor, P."""
        return self.second.shape[-1]


def sign(examples: Examples) -> Signed:
    """Return linear logistic examples as `Signed`, leading dimensions allowed."""
    signs, n = (2 * examples.targets - 1)[..., None], examples.targets.shape[-1]
    signed = torch.cat([signs * examples.inputs, signs], -1).float().mT
    count = -(-n // BLOCK)
    size = -(-n // count // VECTOR) * VECTOR
    padded = pad(signed, (0, count * size - n, 0, -signed.shape[-2] % INPUTS))
    blocks = padded.unflatten(-1, (count, size)).transpose(-3, -2).contiguous()
    moments = compress(examples)
    return Signed(blocks, moments.gram, moments.input_mean, n, examples.intercept)


LIBRARY = torch.library.Library("irmbench", "DEF")
LIBRARY.define("logistic_sums(Tensor blocks, Tensor phi, int n, bool[] asked) -> (Tensor, Tensor, Tensor, Tensor)")
LIBRARY.define("logistic_curvature(Tensor blocks, Tensor phi, Tensor v, int n) -> Tensor")


@torch.library.impl(LIBRARY, "logistic_sums", "CPU")
def _sums(blocks: Tensor, phi: Tensor, n: int, asked: list[bool]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return R [S, M, E] and g, dG, dB [S, M, E, P] of draws [S, M, P]; zero where R, dG or dB are not asked for.

    blocks: [S, E, K, P', B], the signs 2y - 1 in row P - 1.
    """
    from irmbench.engine.logistic_kernels import sums

    points = _padded(phi, blocks)
    trials, inputs = phi.shape[1:]
    shape = (*points.shape[:2], blocks.shape[1])
    risk = torch.zeros(shape, dtype=torch.float64)
    found = [torch.zeros(*shape, points.shape[-1], dtype=torch.float64) for _ in range(3)]
    flags = (asked[0], asked[1], asked[2])
    sums(blocks.numpy(), points.numpy(), inputs - 1, flags, risk.numpy(), *(part.numpy() for part in found))
    if asked[0]:
        risk -= (blocks.shape[2] * blocks.shape[4] - n) * math.log(2)  # of the zeros beyond the last example
    g, dG, dB = (part[:, :trials, :, :inputs] for part in found)
    return risk[:, :trials] / n, g / -n, dG / -n, dB / n


@torch.library.impl(LIBRARY, "logistic_curvature", "CPU")
def _curvature(blocks: Tensor, phi: Tensor, v: Tensor, n: int) -> Tensor:
    """Return H_e v_e of every environment, [S, M, E, P]."""
    from irmbench.engine.logistic_kernels import curvature

    points, directions = _padded(phi, blocks), _padded(v, blocks)
    out = torch.zeros(directions.shape, dtype=torch.float64)
    curvature(blocks.numpy(), points.numpy(), directions.numpy(), out.numpy())
    trials, inputs = phi.shape[1:]
    return out[:, :trials, :, :inputs] / n


def _padded(values: Tensor, blocks: Tensor) -> Tensor:
    """Return values [S, M, ..., P] as float32, zero beyond P, and of an even number of draws."""
    ends = (0, blocks.shape[-2] - values.shape[-1], *[0] * (2 * (values.dim() - POINT)), 0, values.shape[1] % 2)
    return pad(values.float(), ends).contiguous()


@torch.library.register_fake("irmbench::logistic_sums")
def _fake_sums(blocks: Tensor, phi: Tensor, n: int, asked: list[bool]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    seeds, draws, inputs = phi.shape
    risk = phi.new_empty(seeds, draws, blocks.shape[1])
    g, dG, dB = (phi.new_empty(*risk.shape, inputs) for _ in range(3))
    return risk, g, dG, dB


@torch.library.register_fake("irmbench::logistic_curvature")
def _fake_curvature(blocks: Tensor, phi: Tensor, v: Tensor, n: int) -> Tensor:
    return torch.empty_like(v)


sums = torch.ops.irmbench.logistic_sums.default
curvature = torch.ops.irmbench.logistic_curvature.default


@torch.library.register_vmap("irmbench::logistic_sums")
def _vmap_sums(info: Any, in_dims: Any, blocks: Tensor, phi: Tensor, n: int, asked: list[bool]) -> Any:
    blocks, (phi,), dim = _fold(info.batch_size, in_dims[:2], blocks, phi)
    found = sums(blocks, phi, n, asked)
    return tuple(part.unflatten(dim, (info.batch_size, -1)) for part in found), (dim,) * len(found)


@torch.library.register_vmap("irmbench::logistic_curvature")
def _vmap_curvature(info: Any, in_dims: Any, blocks: Tensor, phi: Tensor, v: Tensor, n: int) -> Any:
    blocks, (phi, v), dim = _fold(info.batch_size, in_dims[:3], blocks, phi, v)
    return curvature(blocks, phi, v, n).unflatten(dim, (info.batch_size, -1)), dim


def _fold(size: int, in_dims: Any, blocks: Tensor, *points: Tensor) -> tuple[Tensor, list[Tensor], int]:
    """Return the arguments with the mapped dimension merged into the seeds, or where these share data, the draws."""
    of_blocks, *of_points = in_dims
    dim = 1 if of_blocks is None else 0
    merged = []
    for point, of_point in zip(points, of_points, strict=True):
        first = point.expand(size, *point.shape) if of_point is None else point.movedim(of_point, 0)
        merged.append(first.movedim(0, dim).flatten(dim, dim + 1))
    return (blocks if dim else blocks.movedim(of_blocks, 0).flatten(0, 1)), merged, dim


class Last(torch.autograd.Function):
    """A derivative that is the last there is: to differentiate it once more is an error, not a zero."""

    generate_vmap_rule = True

    @staticmethod
    def forward(point: Tensor, derivative: Tensor) -> Tensor:
        """Return the derivative."""
        return derivative.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep nothing."""

    @staticmethod
    def backward(ctx: Any, of_derivative: Tensor) -> None:
        """Refuse."""
        raise NeedsExamplesError("derivatives of this order need examples: declare it with `needs_examples`")


class Known(torch.autograd.Function):
    """Values [E] at a point [P] whose derivatives [E, P] there are known, and no further ones."""

    generate_vmap_rule = True

    @staticmethod
    def forward(point: Tensor, values: Tensor, derivatives: Tensor) -> Tensor:
        """Return the values."""
        return values.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep the point and the derivatives."""
        ctx.save_for_backward(inputs[0], inputs[2])

    @staticmethod
    def backward(ctx: Any, of_values: Tensor) -> tuple[Tensor, None, None]:
        """Return the derivative in the point."""
        point, derivatives = ctx.saved_tensors
        return Last.apply(point, of_values @ derivatives), None, None


class Risk(torch.autograd.Function):
    """Risks [E] at a point [P] of one trial's blocks; twice differentiable, by gradients [E, P] and the curvature."""

    generate_vmap_rule = True

    @staticmethod
    def forward(point: Tensor, risk: Tensor, gradient: Tensor, blocks: Tensor, n: int) -> Tensor:
        """Return the risks."""
        return risk.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep the point, the gradients there and the data."""
        point, _, gradient, blocks, ctx.n = inputs
        ctx.save_for_backward(point, gradient, blocks)

    @staticmethod
    def backward(ctx: Any, of_risk: Tensor) -> tuple[Tensor, None, None, None, None]:
        """Return the derivative in the point."""
        point, gradient, blocks = ctx.saved_tensors
        return of_risk @ Gradient.apply(point, gradient, blocks, ctx.n), None, None, None, None


class Gradient(torch.autograd.Function):
    """Gradients g_e [E, P] at a point [P] of one trial's blocks [E, K, P', B]; differentiable, by the curvature."""

    generate_vmap_rule = True

    @staticmethod
    def forward(point: Tensor, gradient: Tensor, blocks: Tensor, n: int) -> Tensor:
        """Return the gradients."""
        return gradient.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep the data and the point."""
        point, _, blocks, ctx.n = inputs
        ctx.save_for_backward(point, blocks)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor, None, None, None]:
        """Return sum_e H_e v_e."""
        point, blocks = ctx.saved_tensors
        along = curvature(blocks[None], point.detach()[None, None], v.detach()[None, None], ctx.n)[0, 0].sum(0)
        return Last.apply(point, along), None, None, None


def without_unused(traced: Any) -> Callable[..., Any]:
    """Return a trace whose operators compute nothing that it does not use."""
    graph: GraphModule = traced.__self__
    for node in graph.graph.nodes:
        if node.target is sums:
            used = {user.args[1] for user in node.users}
            node.args = (*node.args[:3], [place in used for place in (0, 2, 3)])
    graph.recompile()
    return graph.forward
