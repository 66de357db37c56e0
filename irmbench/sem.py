"""Linear structural equation models: written once, sampled, and solved exactly for their population moments.

The equations of a linear model with Gaussian noise map independent standard normal variables linearly to (x, z, y). Run
on random noise they give examples; run on the identity matrix they give that map itself, and with it the exact moments.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from irmbench import blocks
from irmbench.blocks import TwoBlocks, Weights
from irmbench.interface import Array
from irmbench.moments import Moments


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


class Noise:
    """Independent standard normal variables, drawn in blocks of columns."""

    def __init__(self, n: int, rng: np.random.Generator) -> None:
        self._n, self._rng, self.columns = n, rng, 0

    def __call__(self, k: int) -> Array:
        """Return the next k variables, [n, k]."""
        self.columns += k
        return self._rng.standard_normal((self._n, k))


class Identity(Noise):
    """The same variables as coordinates: row i of a block says how much of variable i is in each of its columns."""

    def __init__(self, total: int) -> None:
        self._basis, self.columns = np.eye(total), 0

    def __call__(self, k: int) -> Array:
        """Return the next k variables, [total, k]."""
        self.columns += k
        return self._basis[:, self.columns - k : self.columns]


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
    def equations(self, noise: Noise, env: Environment, weights: Weights) -> tuple[Array, Array, Array]:
        """Return causes x [n, p], effects z [n, q] and the target y [n], linear in ``noise``."""

    def draw(self, n: int, rng: np.random.Generator, env: Environment, weights: Weights) -> tuple[Array, Array, Array]:
        """Return ``n`` rows of x, z and y."""
        return self.equations(Noise(n, rng), env, weights)

    def population(self, seed: int) -> Moments:
        """Return the training environments' exact moments."""
        return self._population(self.training(seed), seed)

    def test_population(self, seed: int) -> Moments:
        """Return the test environments' exact moments."""
        return self._population(self.testing(seed), seed)

    def _population(self, environments: Sequence[Environment], seed: int) -> Moments:
        weights = self.seeded_weights(seed)
        second = torch.from_numpy(np.stack([self._second(env, weights, seed) for env in environments]))
        count = torch.full(second.shape[:1], float(self.n), dtype=torch.float64)
        return Moments(second, count, self.intercept, population=True)

    def _second(self, env: Environment, weights: Weights, seed: int) -> Array:
        """Return E[v v'] of v = (inputs, 1, y) in one environment."""
        counted = Noise(1, np.random.default_rng(0))
        self.equations(counted, env, weights)
        x, z, y = self.equations(Identity(counted.columns), env, weights)
        d = x.shape[1] + z.shape[1]
        mixing = np.concatenate([x, z, np.zeros_like(y[:, None]), y[:, None]], 1)
        second: Array = mixing.T @ mixing
        second[-2, -2] = 1.0
        if env.permuted:
            effects = (np.arange(d + 2) >= x.shape[1]) & (np.arange(d + 2) < d)
            second = np.where(effects[:, None] == effects, second, 0.0)
        rotation = np.eye(d + 2)
        rotation[:d, :d] = self.rotation(d, seed)
        rotated: Array = rotation.T @ second @ rotation
        return rotated
