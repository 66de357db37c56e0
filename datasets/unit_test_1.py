"""Linear Unit Test 1: regression with effects of the target among the inputs, and noise that varies."""

from dataclasses import dataclass

import numpy as np

from irmbench.blocks import Weights, changed
from irmbench.interface import Array, Setting, hyper, stream
from irmbench.sem import Environment, LinearSEM, Noise


@dataclass(frozen=True)
class UnitTest1(LinearSEM):
    """x ~ N(0, e^2 I), u = x Wxy + N(0, e^2 I), z = u Wyz + N(0, I), target sum_j u_j.

    Trained on e in {0.1, 1.5, 2}, then 10^U(-2, 1). Weights are N(0, 1) divided by the number of
    causes, or of effects. Tests permute the rows of z.
    """

    paper = "Aubin, Slowik, Arjovsky, Bottou and Lopez-Paz 2021, arXiv 2102.10867, example 1"
    intercept = True

    n: int = hyper(10_000, "examples per training environment", low=2)
    causes: int = hyper(5, "inputs that cause the target", low=1)
    effects: int = hyper(5, "inputs that the target causes", low=0)
    environments: int = hyper(3, "training environments", low=1)

    @property
    def setting(self) -> Setting:
        return Setting(y_noise_varies=True, anti_causal=self.effects > 0, scrambled=self.scrambled)

    def training(self, seed: int) -> list[Environment]:
        more = 10 ** stream("environments", seed).uniform(-2, 1, max(self.environments - 3, 0))
        return [Environment(e=float(e)) for e in (0.1, 1.5, 2.0, *more)][: self.environments]

    def testing(self, seed: int) -> list[Environment]:
        return changed(self.training(seed), permuted=True)

    def weights(self, rng: np.random.Generator) -> Weights:
        xy = rng.standard_normal((self.causes, self.causes)) / self.causes
        return {"xy": xy, "yz": rng.standard_normal((self.causes, self.effects)) / max(self.effects, 1)}

    def causal(self, weights: Weights) -> tuple[Array, int]:
        return weights["xy"].sum(1), self.effects

    def equations(self, noise: Noise, env: Environment, weights: Weights) -> tuple[Array, Array, Array]:
        x = env.e * noise(self.causes)
        u = x @ weights["xy"] + env.e * noise(self.causes)
        z = u @ weights["yz"] + noise(self.effects)
        return x, z, u.sum(1)
