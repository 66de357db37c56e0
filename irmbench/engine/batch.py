"""Batches: what a method says of one trial, done for all seeds and all hyper-parameters at once.

A batch is a rectangle of S data seeds by H hyper-parameter draws of one method, which share the data of their seed. A
function of one trial is lifted to the rectangle with ``torch.func.vmap``, so that a step of a thousand trials costs the
dispatch of one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from irmbench.engine.logistic import Signed
from irmbench.engine.risks import Data, Environments, environments
from irmbench.fields import FIRST_SEED
from irmbench.interface import Loss, Method, Solver, Truth, stream
from irmbench.moments import Examples, Moments, compress

Hyper = dict[str, Tensor]
Tensors = tuple[Tensor, ...]


@dataclass(frozen=True)
class Batch:
    """A rectangle of trials.

    Attributes:
        methods: H hyper-parameter draws of one method, equal in every field that is not a float.
        data: the training environments, S data seeds stacked in front.
        truths: the causal coefficients of every seed; only oracles look at them.
        solvers: H solvers, equal in all but learning rate and weight decay.
        seeds: the S data seeds, which also key the streams that split examples into halves.
        draws: the numbers of the H draws, which key random starts; None for 0, 1, ...

    """

    methods: list[Method]
    data: Data | Signed
    truths: list[Truth]
    solvers: list[Solver]
    seeds: list[int]
    draws: Sequence[int] | None = None

    @property
    def method(self) -> Method:
        """The method, up to its floats."""
        return self.methods[0]

    @property
    def solver(self) -> Solver:
        """The solver, up to learning rate and weight decay."""
        return self.solvers[0]

    @property
    def shape(self) -> tuple[int, int]:
        """Data seeds by draws, (S, H)."""
        return self.data.tensors[0].shape[0], len(self.methods)

    @property
    def environments(self) -> int:
        """Training environments, E."""
        return self.data.tensors[0].shape[1]

    @property
    def device(self) -> torch.device:
        """Where the data are."""
        return self.data.tensors[0].device

    @property
    def loss(self) -> Loss:
        """The loss that the environments' risks are of."""
        return "logistic" if self.data.logistic else "squared"

    @cached_property
    def moments(self) -> Moments:
        """The data as moments."""
        if isinstance(self.data, Examples):
            return compress(self.data)
        assert isinstance(self.data, Moments)
        return self.data

    @cached_property
    def hyper(self) -> Hyper:
        """The float fields of method and solver, a tensor [H] each."""
        names = [f.name for f in dataclasses.fields(self.method) if isinstance(getattr(self.method, f.name), float)]
        columns = {name: [getattr(m, name) for m in self.methods] for name in names}
        # Under other names than a method's own fields could have.
        for name in ("learning_rate", "weight_decay"):
            columns[f"solver.{name}"] = [getattr(solver, name) for solver in self.solvers]
        return {k: torch.tensor(v, dtype=torch.float64, device=self.device) for k, v in columns.items()}

    def one(self, hyper: Hyper) -> Method:
        """Return the method of one trial, its floats being tensors."""
        own = {f.name for f in dataclasses.fields(self.method)}
        return dataclasses.replace(self.method, **{k: v for k, v in hyper.items() if k in own})

    def view(self, data: Tensors, method: Method, parameters: Tensor, **context: Any) -> Environments:
        """Return one trial's environments, from its data's tensors, at its parameters."""
        return environments(self.data.with_tensors(*data), method, parameters, **context)

    def start(self) -> Tensor:
        """Return the parameters [S, H, ...] that optimisers start from: a network's own, or the solver's."""
        network = self.data.network if isinstance(self.data, Examples) else None
        if network is not None:
            rows = self._parameters([network.start(stream("start", seed)) for seed in self.seeds])[:, None]
        else:
            draws = range(len(self.methods)) if self.draws is None else self.draws
            rows = self._parameters([self._point(draw) for draw in draws])[None]
        return rows.expand(*self.shape, *rows.shape[2:]).contiguous()

    def _point(self, draw: int) -> Tensor:
        """Return the coefficients [P] that a draw starts from."""
        P, start = self.data.dimension, self.solver.start
        if start != "linear":
            return torch.full((P,), start, dtype=torch.float64)
        generator = torch.Generator().manual_seed(FIRST_SEED + draw)
        bound = (P - self.data.intercept) ** -0.5
        return torch.empty(P).uniform_(-bound, bound, generator=generator).double()

    def _parameters(self, points: list[Tensor]) -> Tensor:
        return torch.stack([self.method.parameters(point.to(self.device), self.environments) for point in points])

    def coefficients(self, parameters: Tensor) -> Tensor:
        """Return the coefficients [S, H, P] of every trial's parameters [S, H, ...]."""
        lifted = self.lift(lambda data, hyper, own: self.one(hyper).coefficients(own), own=1)
        coefficients: Tensor = lifted(parameters)
        return coefficients

    def per_trial(self, value: Tensor) -> Tensor:
        """Return ``value`` repeated for every trial."""
        return value.expand(*self.shape, *value.shape).contiguous()

    def rows(self, which: Sequence[int]) -> Batch:
        """Return the batch of some of the seeds, by their places."""
        data = self.data.with_tensors(*(tensor[list(which)] for tensor in self.data.tensors))
        truths, seeds = [self.truths[s] for s in which], [self.seeds[s] for s in which]
        return dataclasses.replace(self, data=data, truths=truths, seeds=seeds)

    def lift(self, function: Callable[..., Any], own: int, extra: bool = False) -> Callable[..., Any]:
        """Lift ``function(data, hyper, *own, *shared)`` of one trial to all of them.

        The first ``own`` arguments after ``hyper`` differ between trials, [S, H, ...]; the rest are shared between the
        draws of a seed, [S, ...]. With ``extra``, own arguments are [S, H, K, ...]: K points of every trial.
        """

        def flat(data: Tensors, hyper: Hyper, owned: Tensors, shared: Tensors) -> Any:
            return function(data, hyper, *owned, *shared)

        lifted = vmap(flat, in_dims=(None, None, 0, None)) if extra else flat
        lifted = vmap(lifted, in_dims=(None, 0, 0, None))
        lifted = vmap(lifted, in_dims=(0, None, 0, 0))
        return lambda *arguments: lifted(self.data.tensors, self.hyper, arguments[:own], arguments[own:])


class Splitter:
    """Fresh random parts of every environment's examples, one stream a data seed.

    A part is ceil(n / 2) of the n examples, or a number drawn from 0 to n - 1 if ``size`` is "random".
    """

    def __init__(self, examples: Examples, seeds: Iterable[int], size: Literal["half", "random"] = "half") -> None:
        self._like, self._size = examples.targets, size
        self._streams = [stream("split", seed) for seed in seeds]

    def nothing(self) -> Tensor:
        """Return what a split is like, without drawing one."""
        return torch.zeros_like(self._like)

    def __call__(self) -> Tensor:
        """Return 1 for the examples of a part, drawn at random, and 0 for the others, [S, E, n]."""
        environments, n = self._like.shape[1:]
        keys = np.stack([stream.random((environments, n)) for stream in self._streams])
        if self._size == "random":
            cuts = np.stack([stream.integers(n, size=environments) for stream in self._streams])
            return torch.from_numpy(keys.argsort(-1).argsort(-1) < cuts[..., None]).to(self._like)
        # The half with the smaller keys: selecting takes a fraction of the time of a permutation.
        cut = (n + 1) // 2
        half = keys <= np.partition(keys, cut - 1)[..., cut - 1 : cut]
        return torch.from_numpy(half).to(self._like)
