"""Linear Unit Test 3: a small margin that is the same everywhere, against a large one that changes."""

from dataclasses import dataclass

import numpy as np

from irmbench.blocks import Environment, TwoBlocks, Weights, changed
from irmbench.interface import Array, Setting, hyper, stream


@dataclass(frozen=True)
class Shortcut(Environment):
    """An environment: the mean of the shortcut in class 0."""

    mean: tuple[float, ...] = ()


@dataclass(frozen=True)
class UnitTest3(TwoBlocks):
    """Class 0: x ~ N(0.1, 0.1^2), z ~ N(mu_e, 0.1^2) per coordinate; class 1: the means negated; mu_e ~ N(0, I).

    Half of the examples are of each class, class 0 first. The best logit without z is -2 (0.1 / 0.1^2) per cause, which
    errs with probability Phi(-sqrt(5)) for five causes; coefficients are compared up to scale. Tests permute z.
    """

    paper = "Aubin, Slowik, Arjovsky, Bottou and Lopez-Paz 2021, arXiv 2102.10867, example 3"
    loss = "logistic"
    intercept = True
    scale_free = True

    n: int = hyper(10_000, "examples per training environment, half of each class", low=2)
    causes: int = hyper(5, "inputs with the margin that stays", low=1)
    others: int = hyper(5, "inputs with the margin that changes", low=0)
    environments: int = hyper(3, "training environments", low=1)

    @property
    def setting(self) -> Setting:
        return Setting(
            anti_causal=True,
            scrambled=self.scrambled,
            identifiable=self.environments > self.others,
            shift="shortcut",
        )

    def training(self, seed: int) -> list[Shortcut]:
        means = stream("environments", seed).standard_normal((self.environments, self.others))
        return [Shortcut(mean=tuple(mean)) for mean in means.tolist()]

    def testing(self, seed: int) -> list[Shortcut]:
        return changed(self.training(seed), permuted=True)

    def causal(self, weights: Weights) -> tuple[Array, int]:
        return np.full(self.causes, -2 * 0.1 / 0.1**2), self.others

    def draw(self, n: int, rng: np.random.Generator, env: Shortcut, weights: Weights) -> tuple[Array, Array, Array]:
        y = np.repeat([0.0, 1.0], [n - n // 2, n // 2])
        sign = (1 - 2 * y)[:, None]
        x = sign * 0.1 + 0.1 * rng.standard_normal((n, self.causes))
        z = sign * np.array(env.mean) + 0.1 * rng.standard_normal((n, self.others))
        return x, z, y
