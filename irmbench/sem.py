"""Linear structural equation models: written once, sampled, and solved exactly for their population moments.

The equations of a linear model with Gaussian noise are an affine map from independent standard normal variables to
(x, z, y). Run on random noise they give examples; run on zero and on the identity matrix they give the map itself, and
with it the exact moments.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from irmbench import blocks
from irmbench.blocks import TwoBlocks, Weights
from irmbench.interface import Array
from irmbench.moments import Moments

KNOWN = 1024  # environments whose moments stay in memory, a few kilobytes each


@dataclass(frozen=True)
class Environment(blocks.Environment):
    """One environment: its scale ``e``, and interventions for tests.

    ``do_causes`` and ``do_effects`` replace the causes x or the effects z by N(0, k^2 I), k the value given.
    """

    e: float = 1.0
    do_causes: float | None = None
    do_effects: float | None = None

    def causes(self, x: Array, noise: Noise) -> Array:
        """Return x, or what an intervention sets it to."""
        return x if self.do_causes is None else self.do_causes * noise(x.shape[1])

    def effects(self, z: Array, noise: Noise) -> Array:
        """Return z, or what an intervention sets it to."""
        return z if self.do_effects is None else self.do_effects * noise(z.shape[1])


@dataclass(frozen=True)
class Anchored(Environment):
    """One environment of a model that an anchor A ~ N(mean, spread^2 I) drives: a constant where ``spread`` is 0."""

    mean: tuple[float, ...] = ()
    spread: float = 0.0

    def anchor(self, noise: Noise) -> Array:
        """Return A, [n, len(mean)]."""
        drawn: Array = np.array(self.mean) + self.spread * noise(len(self.mean))
        return drawn


class Noise:
    """Independent standard normal variables, drawn in blocks of columns."""

    def __init__(self, n: int, rng: np.random.Generator) -> None:
        self._n, self._rng, self.columns = n, rng, 0

    def __call__(self, k: int) -> Array:
        """Return the next k variables, [n, k]."""
        self.columns += k
        return self._rng.standard_normal((self._n, k))


class Given(Noise):
    """The same variables, at given values [rows, variables]."""

    def __init__(self, values: Array) -> None:
        self._values, self.columns = values, 0

    def __call__(self, k: int) -> Array:
        """Return the next k variables, [rows, k]."""
        self.columns += k
        return self._values[:, self.columns - k : self.columns]


@dataclass(frozen=True)
class LinearSEM(TwoBlocks):
    """A dataset whose file states ``equations`` in place of ``draw``, and has population moments for it."""

    @abstractmethod
    def training(self, seed: int) -> Sequence[Environment]:
        """Return the training environments."""

    @abstractmethod
    def testing(self, seed: int) -> Sequence[Environment]:
        """Return the held-out test environments."""

    @abstractmethod
    def equations(self, noise: Noise, env: Any, weights: Weights) -> tuple[Array, Array, Array]:
        """Return causes x [n, p], effects z [n, q] and the target y [n], affine in ``noise``."""

    def draw(self, n: int, rng: np.random.Generator, env: Environment, weights: Weights) -> tuple[Array, Array, Array]:
        """Return ``n`` rows of x, z and y."""
        return self.equations(Noise(n, rng), env, weights)

    def population(self, seed: int) -> Moments:
        """Return the training environments' exact moments."""
        return self._population(self.training(seed), seed, self.sizes)

    def test_population(self, seed: int) -> Moments:
        """Return the test environments' exact moments."""
        return self._population(self.testing(seed), seed)

    def _population(
        self, environments: Sequence[Environment], seed: int, sizes: Sequence[int] | None = None
    ) -> Moments:
        weights = self.seeded_weights(seed)
        second = torch.from_numpy(np.stack([self._second(env, weights, seed) for env in environments]))
        count = torch.tensor(sizes or [self.n] * len(environments), dtype=torch.float64)
        return Moments(second, count, self.intercept, population=True, gaussian=True)

    def _second(self, env: Environment, weights: Weights, seed: int) -> Array:
        """Return E[v v'] of v = (inputs, 1, y) in one environment."""
        plain = self._unrotated(env, weights) if weights else _known(self, env)
        if not self.scrambled:
            return plain
        d = len(plain) - 2
        rotation = np.eye(d + 2)
        rotation[:d, :d] = self.rotation(d, seed)
        rotated: Array = rotation.T @ plain @ rotation
        return rotated

    def _unrotated(self, env: Environment, weights: Weights) -> Array:
        """Return E[v v'] of v = (x, z, 1, y)."""
        counted = Noise(1, np.random.default_rng(0))
        causes = self.equations(counted, env, weights)[0].shape[1]
        # With no noise at all, v is its own mean; what each variable adds to that is its row of the mixing.
        mean = self._rows(env, weights, np.zeros((1, counted.columns)))
        mixing = self._rows(env, weights, np.eye(counted.columns)) - mean
        mixed: Array = mixing.T @ mixing
        d = len(mixed) - 2
        if env.permuted:
            effects = (np.arange(d + 2) >= causes) & (np.arange(d + 2) < d)
            mixed = np.where(effects[:, None] == effects, mixed, 0.0)
        return mixed + mean.T @ mean

    def _rows(self, env: Environment, weights: Weights, variables: Array) -> Array:
        """Return v where the noise takes the given values, [rows, d + 2]."""
        x, z, y = self.equations(Given(variables), env, weights)
        return np.concatenate([x, z, np.ones_like(y[:, None]), y[:, None]], 1)


@lru_cache(KNOWN)
def _known(sem: LinearSEM, env: Environment) -> Array:
    """Return the moments of an environment without random weights, unrotated: the same for all seeds."""
    return sem._unrotated(env, {})
