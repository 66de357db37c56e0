"""Moments: everything squared loss and a linear predictor can see of an environment, whatever its number of examples.

The moments of an environment are the second moments of (x, 1, y). The one between x and y carries means, so that
intercepts, dummy biases and variances need nothing else. Float64 throughout: with a penalty weight of 1e5, or in
differences between environments, float32 is not enough.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import ClassVar

import torch
from torch import Tensor

from irmbench.networks import Network

CHUNK = 2**16  # rows whose augmented copy stays in cache


@dataclass(frozen=True)
class Moments:
    """Second moments of every environment, leading batch dimensions allowed.

    Attributes:
        second: E[v v'] of v = (x, 1, y), [..., E, d + 2, d + 2].
        count: examples behind them, [..., E]; of a population, the number a sample would have.
        intercept: whether predictors have one; then P = d + 1 parameters, the intercept last, otherwise P = d.
        population: whether the moments are exact rather than of a sample.
        gaussian: whether a population's inputs and target are jointly normal, so that its moments say everything.

    """

    second: Tensor
    count: Tensor
    intercept: bool = False
    population: bool = False
    gaussian: bool = False

    logistic: ClassVar[bool] = False

    @property
    def augmented(self) -> Moments:
        """The same for predictors with an intercept."""
        return dataclasses.replace(self, intercept=True)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What varies over trials, leading dimensions first."""
        return self.second, self.count

    def with_tensors(self, second: Tensor, count: Tensor) -> Moments:
        """Return the same with other tensors."""
        return dataclasses.replace(self, second=second, count=count)

    def to(self, device: str) -> Moments:
        """Return the same on another device."""
        return self.with_tensors(self.second.to(device), self.count.to(device))

    @property
    def dimension(self) -> int:
        """Parameters of a predictor, P."""
        return self.second.shape[-1] - 2 + self.intercept

    @cached_property
    def gram(self) -> Tensor:
        """A_e = E_e[x x'], [..., E, P, P]."""
        return self.second[..., : self.dimension, : self.dimension]

    @cached_property
    def cross(self) -> Tensor:
        """b_e = E_e[x y], [..., E, P]."""
        return self.second[..., : self.dimension, -1]

    @cached_property
    def target_square(self) -> Tensor:
        """c_e = E_e[y^2], [..., E]."""
        return self.second[..., -1, -1]

    @cached_property
    def input_mean(self) -> Tensor:
        """m_e = E_e[x], [..., E, P]; 1 for the intercept."""
        return self.second[..., -2, : self.dimension]

    @cached_property
    def target_mean(self) -> Tensor:
        """E_e[y], [..., E]."""
        return self.second[..., -2, -1]

    @property
    def share(self) -> Tensor:
        """Each environment's part of all examples, n_e / N, [..., E]."""
        return self.count / self.count.sum(-1, keepdim=True)


@dataclass(frozen=True)
class Examples:
    """Examples of every environment: observed inputs [..., E, n, d] without a column of ones, targets [..., E, n].

    Targets are real under squared loss, 0 or 1 under logistic loss. Predictors are linear, or ``network``.
    """

    inputs: Tensor
    targets: Tensor
    intercept: bool = False
    logistic: bool = False
    network: Network | None = None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What varies over trials, leading dimensions first."""
        return self.inputs, self.targets

    def with_tensors(self, inputs: Tensor, targets: Tensor) -> Examples:
        """Return the same with other tensors."""
        return dataclasses.replace(self, inputs=inputs, targets=targets)

    def to(self, device: str) -> Examples:
        """Return the same on another device."""
        return self.with_tensors(self.inputs.to(device), self.targets.to(device))

    @property
    def dimension(self) -> int:
        """Parameters of a predictor, P."""
        return self.inputs.shape[-1] + self.intercept if self.network is None else self.network.size

    def features(self, coefficients: Tensor) -> Tensor:
        """Return what the predictor's last layer sees, [E, n, K]: the inputs and a one for an intercept, if linear."""
        if self.network is not None:
            return self.network.features(self.inputs, coefficients)
        return torch.nn.functional.pad(self.inputs, (0, int(self.intercept)), value=1.0)

    def predict(self, coefficients: Tensor) -> Tensor:
        """Return predictions (logits under logistic loss), [E, n]."""
        if self.network is not None:
            return self.network(self.inputs, coefficients)
        if not self.intercept:
            return self.inputs @ coefficients
        return self.inputs @ coefficients[:-1] + coefficients[-1]


def compress(examples: Examples, sizes: Sequence[int] | None = None) -> Moments:
    """Return the moments of examples, in float64, with O(chunk) extra memory.

    With sizes, of the first examples of each environment, as many as its size.
    """
    if sizes is not None:
        environments = [examples.with_tensors(*(t[e, :n] for t in examples.tensors)) for e, n in enumerate(sizes)]
        moments = stack([compress(environment) for environment in environments])
        assert isinstance(moments, Moments)
        return moments
    return merge(
        _compress_chunk(
            examples.inputs[..., i : i + CHUNK, :], examples.targets[..., i : i + CHUNK], examples.intercept
        )
        for i in range(0, max(examples.inputs.shape[-2], 1), CHUNK)
    )


def _compress_chunk(inputs: Tensor, targets: Tensor, intercept: bool) -> Moments:
    ones = torch.ones_like(targets)
    rows = torch.cat([inputs, ones[..., None], targets[..., None]], -1).double()
    n = rows.shape[-2]
    count = torch.full(rows.shape[:-2], n, dtype=torch.float64, device=rows.device)
    return Moments(rows.mT @ rows / max(n, 1), count, intercept)


def stream(chunks: Iterable[Examples]) -> Moments:
    """Return the moments of all chunks' examples together, holding one chunk at a time, however many there are.

    Chunks are [E, n, d] and [E, n] each, of any n: ``stream(Examples(inputs, targets) for inputs, targets in files)``.
    """
    return merge(map(compress, chunks))


def merge(parts: Iterable[Moments]) -> Moments:
    """Return the moments of all parts' examples together, holding as many as a number has bits, however many there are.

    Parts are merged in pairs, pairs in fours: rounding errors grow with the logarithm of their number.
    """
    waiting: list[Moments] = []  # of twice as many parts as the next, at least
    for number, part in enumerate(parts, 1):
        waiting.append(part)
        for _ in range((number & -number).bit_length() - 1):
            later = waiting.pop()
            waiting[-1] = _merged(waiting[-1], later)
    if not waiting:
        raise ValueError("no moments to merge: the stream of parts is empty")
    return reduce(lambda later, earlier: _merged(earlier, later), reversed(waiting))


def _merged(a: Moments, b: Moments) -> Moments:
    count = a.count + b.count
    weight = b.count / count.clamp(min=1)  # of no examples at all the moments are 0
    return a.with_tensors(a.second + (b.second - a.second) * weight[..., None, None], count)


def stack(items: Sequence[Moments | Examples]) -> Moments | Examples:
    """Return the items along a new leading dimension."""
    tensors = [torch.stack(group) for group in zip(*(item.tensors for item in items), strict=True)]
    return items[0].with_tensors(*tensors)
