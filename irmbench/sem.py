"""Linear structural equation models: written once, sampled, and solved exactly for their population moments.

The equations of a linear model with Gaussian noise map independent standard normal variables linearly to (x, z, y). Run
on random noise they give examples; run on the identity matrix they give that map itself, and with it the exact moments.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from irmbench.interface import Array, Dataset, Truth, hyper, stream
from irmbench.moments import Examples, Moments

Weights = dict[str, Array]


@dataclass(frozen=True)
class Environment:
    """One environment: its scale ``e``, and interventions for tests.

    ``do_causes`` and ``do_effects`` replace the causes x or the effects z by N(0, k^2 I), k the value given;
    ``permuted`` shuffles the rows of z, which keeps its distribution and breaks its tie to the target.
    """

    e: float
    do_causes: float | None = None
    do_effects: float | None = None
    permuted: bool = False

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
class LinearSEM(Dataset):
    """A dataset whose file states ``equations``, ``causal`` and its environments; all else follows."""

    scrambled: bool = hyper(False, "whether inputs are rotated by a random orthogonal matrix, [x, z] S")

    @abstractmethod
    def training(self, seed: int) -> list[Environment]:
        """Return the training environments."""

    @abstractmethod
    def testing(self, seed: int) -> list[Environment]:
        """Return the held-out test environments."""

    @abstractmethod
    def equations(self, noise: Noise, env: Environment, weights: Weights) -> tuple[Array, Array, Array]:
        """Return causes x [n, p], effects z [n, q] and the target y [n], linear in ``noise``."""

    @abstractmethod
    def causal(self, weights: Weights) -> tuple[Array, int]:
        """Return the coefficients of the causes, [p], and the number q of effects."""

    def weights(self, rng: np.random.Generator) -> Weights:
        """Return the model's random weights."""
        return {}

    def truth(self, seed: int) -> Truth:
        """Return the causal coefficients under ``seed``."""
        coefficients, effects = self.causal(self._weights(seed))
        d = len(coefficients) + effects
        causal = torch.arange(d) < len(coefficients)
        padded = np.concatenate([coefficients, np.zeros(effects)])
        return Truth(torch.from_numpy(padded), causal, torch.from_numpy(scramble(d, seed, self.scrambled)))

    def sample(self, n: int, seed: int) -> Examples:
        """Return ``n`` examples of every training environment."""
        return self._sample(self.training(seed), n, seed, stream("data", seed))

    def test_sample(self, n: int, seed: int) -> Examples:
        """Return ``n`` examples of every test environment."""
        return self._sample(self.testing(seed), n, seed, stream("test", seed))

    def population(self, seed: int) -> Moments:
        """Return the training environments' exact moments."""
        return self._population(self.training(seed), seed)

    def test_population(self, seed: int) -> Moments:
        """Return the test environments' exact moments."""
        return self._population(self.testing(seed), seed)

    def _weights(self, seed: int) -> Weights:
        return self.weights(stream("weights", seed))

    def _sample(self, environments: list[Environment], n: int, seed: int, rng: np.random.Generator) -> Examples:
        weights = self._weights(seed)
        inputs, targets = [], []
        for env in environments:
            x, z, y = self.equations(Noise(n, rng), env, weights)
            z = rng.permutation(z) if env.permuted else z
            inputs.append(np.concatenate([x, z], 1))
            targets.append(y)
        observed = np.stack(inputs) @ scramble(inputs[0].shape[1], seed, self.scrambled)
        return Examples(torch.from_numpy(observed), torch.from_numpy(np.stack(targets)), self.intercept)

    def _population(self, environments: list[Environment], seed: int) -> Moments:
        weights = self._weights(seed)
        second = torch.from_numpy(np.stack([self._second(env, weights, seed) for env in environments]))
        count = torch.full(second.shape[:1], float(self.n), dtype=torch.float64)
        return Moments(second, count, self.intercept, population=True)

    def _second(self, env: Environment, weights: Weights, seed: int) -> Array:
        """Return E[v v'] of v = (x, z, 1, y) in one environment."""
        counted = Noise(1, np.random.default_rng(0))
        self.equations(counted, env, weights)
        x, z, y = self.equations(Identity(counted.columns), env, weights)
        rows = np.concatenate([x, z, np.zeros_like(y[:, None]), y[:, None]], 1)
        second: Array = rows.T @ rows
        second[-2, -2] = 1.0
        p, d = x.shape[1], x.shape[1] + z.shape[1]
        if env.permuted:
            rest = [*range(p), d + 1]
            second[np.ix_(rest, range(p, d))] = 0.0
            second[np.ix_(range(p, d), rest)] = 0.0
        rotation = np.eye(d + 2)
        rotation[:d, :d] = scramble(d, seed, self.scrambled)
        return rotation.T @ second @ rotation


def scramble(d: int, seed: int, scrambled: bool) -> Array:
    """Return S [d, d] with observed inputs [x, z] S: orthogonal, from the QR decomposition of a Gaussian matrix."""
    if not scrambled:
        return np.eye(d)
    q: Array = np.linalg.qr(stream("scramble", seed).standard_normal((d, d)))[0]
    return q


def shifted(environments: list[Environment], **change: Any) -> list[Environment]:
    """Return the environments with one thing changed in all of them."""
    return [replace(env, **change) for env in environments]
