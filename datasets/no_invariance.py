"""A negative control: the causal coefficients themselves change, so that no set of inputs predicts invariantly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from irmbench.blocks import Weights, changed
from irmbench.interface import Array, Setting, hyper, stream
from irmbench.sem import Environment, LinearSEM, Noise

EFFECTS = (0.5, 2.0)  # a in the first and the last environment, and geometrically spaced between them


@dataclass(frozen=True)
class Drifted(Environment):
    """An environment: the deviation xi of its causal coefficients, and what the target's effects have of it."""

    xi: tuple[float, ...] = ()
    effect: float = 1.0


@dataclass(frozen=True)
class NoInvariance(LinearSEM):
    """x ~ N(0, I), y = x'(beta_0 + tau xi) + N(0, 1), z_j = a y + N(0, 1), with beta_0 = 1 and xi ~ N(0, I).

    Trained on deviations xi, with a from .5 to 2, compared with beta_0, tested on other deviations. Few environments of
    few examples may be alike by chance: with the defaults a test of invariance rejects every set of inputs.
    """

    paper = "a control of this suite"

    d: int = hyper(5, "causes, and as many effects", low=1)
    tau: float = hyper(0.5, "standard deviation of a causal coefficient over environments", low=0)
    environments: int = hyper(8, "training environments", low=2)

    @property
    def setting(self) -> Setting:
        return Setting(
            anti_causal=True,
            scrambled=self.scrambled,
            identifiable=False,
            shift="coefficients of causes and of effects",
        )

    def training(self, seed: int) -> Sequence[Drifted]:
        return self._drifted("environments", seed)

    def testing(self, seed: int) -> Sequence[Drifted]:
        unseen = self._drifted("test environments", seed)
        return [*unseen, *changed(unseen, permuted=True), *changed(unseen, effect=-1.0)]

    def _drifted(self, role: str, seed: int) -> list[Drifted]:
        xi = stream(role, seed).standard_normal((self.environments, self.d))
        effects = np.geomspace(*EFFECTS, self.environments).tolist()
        return [Drifted(xi=tuple(row), effect=a) for row, a in zip(xi.tolist(), effects, strict=True)]

    def causal(self, weights: Weights) -> tuple[Array, int]:
        return np.ones(self.d), self.d

    def equations(self, noise: Noise, env: Drifted, weights: Weights) -> tuple[Array, Array, Array]:
        x = noise(self.d)
        y = x @ (1 + self.tau * np.array(env.xi)) + noise(1)[:, 0]
        z = env.effect * y[:, None] + noise(self.d)
        return x, z, y
