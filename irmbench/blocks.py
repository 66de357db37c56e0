"""Datasets whose inputs are two blocks: causes x and the rest z, rotated together where the dataset is scrambled."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch

from irmbench import interface
from irmbench.interface import Array, Dataset, Role, Truth, hyper, stream
from irmbench.moments import Examples

Weights = dict[str, Array]


@dataclass(frozen=True)
class Environment:
    """One environment; ``permuted`` shuffles the rows of z, which keeps its distribution and breaks its ties."""

    permuted: bool = False


AnyEnvironment = TypeVar("AnyEnvironment", bound=Environment)


@dataclass(frozen=True)
class TwoBlocks(Dataset):
    """A dataset whose file states how to draw (x, z, y), which coefficients are causal, and its environments."""

    scrambled: bool = hyper(False, "whether inputs are rotated by a random orthogonal matrix, [x, z] S")

    @abstractmethod
    def training(self, seed: int) -> Sequence[Any]:
        """Return the training environments."""

    @abstractmethod
    def testing(self, seed: int) -> Sequence[Any]:
        """Return the held-out test environments."""

    @abstractmethod
    def draw(self, n: int, rng: np.random.Generator, env: Any, weights: Weights) -> tuple[Array, Array, Array]:
        """Return ``n`` rows of causes x [n, p], the rest z [n, q] and the target y [n] in one environment."""

    @abstractmethod
    def causal(self, weights: Weights) -> tuple[Array, int]:
        """Return the coefficients of the causes, [p], and the number q of other inputs."""

    def weights(self, rng: np.random.Generator) -> Weights:
        """Return the model's random weights."""
        return {}

    def seeded_weights(self, seed: int) -> Weights:
        """Return the model's weights under ``seed``."""
        random = type(self).weights is not TwoBlocks.weights  # if not, a generator would be made for nothing
        return self.weights(stream("weights", seed)) if random else {}

    def truth(self, seed: int) -> Truth:
        """Return the causal coefficients under ``seed``."""
        coefficients, others = self.causal(self.seeded_weights(seed))
        d = len(coefficients) + others
        padded = np.concatenate([coefficients, np.zeros(others)])
        rotation = torch.from_numpy(self.rotation(d, seed))
        return Truth(torch.from_numpy(padded), torch.arange(d) < len(coefficients), rotation)

    def sample(self, n: int, seed: int) -> Examples:
        """Return ``n`` examples of every training environment."""
        return self._sample(self.training(seed), n, seed, stream("data", seed))

    def test_sample(self, n: int, seed: int) -> Examples:
        """Return ``n`` examples of every test environment."""
        return self._sample(self.testing(seed), n, seed, stream("test", seed))

    def fresh_sample(self, role: Role, n: int, seed: int, stream: str) -> Examples:
        """Return ``n`` further examples of every training or test environment."""
        environments = self.training(seed) if role == "training" else self.testing(seed)
        return self._sample(environments, n, seed, interface.stream(stream, seed))

    def rotation(self, d: int, seed: int) -> Array:
        """Return S [d, d] with observed inputs [x, z] S: the identity, or the Q of a Gaussian matrix."""
        if not self.scrambled:
            return np.eye(d)
        q: Array = np.linalg.qr(stream("scramble", seed).standard_normal((d, d)))[0]
        return q

    def _sample(self, environments: Sequence[Any], n: int, seed: int, rng: np.random.Generator) -> Examples:
        weights = self.seeded_weights(seed)
        inputs, targets = [], []
        for env in environments:
            x, z, y = self.draw(n, rng, env, weights)
            inputs.append(np.concatenate([x, rng.permutation(z) if env.permuted else z], 1))
            targets.append(y)
        observed = np.stack(inputs)
        if self.scrambled:
            observed = observed @ self.rotation(observed.shape[-1], seed)
        logistic = self.loss == "logistic"
        targets_of_all = torch.from_numpy(np.stack(targets))
        return Examples(torch.from_numpy(observed), targets_of_all, self.intercept, logistic, self.network)


def changed(environments: Sequence[AnyEnvironment], **change: Any) -> list[AnyEnvironment]:
    """Return the environments with one thing changed in all of them."""
    return [replace(env, **change) for env in environments]
