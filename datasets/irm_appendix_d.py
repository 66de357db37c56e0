"""Appendix D of the IRM paper: two causes, two effects, and noise in the target that grows with the environment."""

from dataclasses import dataclass

import numpy as np

from irmbench.blocks import Weights, changed
from irmbench.interface import Array, Setting, hyper
from irmbench.sem import Environment, LinearSEM, Noise


@dataclass(frozen=True)
class IRMAppendixD(LinearSEM):
    """x ~ N(0, e^2 I), u = x + N(0, e^2 I), z = u + N(0, I); target sum_j u_j.

    Trained on e in {0.1, 1}.
    """

    paper = "Arjovsky, Bottou, Gulrajani and Lopez-Paz 2019, arXiv 1907.02893, appendix D"

    n: int = hyper(10_000, "examples per training environment", low=2)
    d: int = hyper(2, "causes, and as many effects", low=1)

    @property
    def setting(self) -> Setting:
        return Setting(y_noise_varies=True, anti_causal=True, scrambled=self.scrambled)

    def training(self, seed: int) -> list[Environment]:
        return [Environment(e=0.1), Environment(e=1.0)]

    def testing(self, seed: int) -> list[Environment]:
        unseen = [Environment(e=0.5), Environment(e=2.0), Environment(e=5.0)]
        return [*unseen, *changed(self.training(seed), permuted=True), *changed(self.training(seed), do_effects=3.0)]

    def causal(self, weights: Weights) -> tuple[Array, int]:
        return np.ones(self.d), self.d

    def equations(self, noise: Noise, env: Environment, weights: Weights) -> tuple[Array, Array, Array]:
        x = env.causes(env.e * noise(self.d), noise)
        u = x + env.e * noise(self.d)
        z = env.effects(u + noise(self.d), noise)
        return x, z, u.sum(1)
