"""Linear Unit Test 2: cows on grass and camels on sand, a classification whose background predicts all too well."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from irmbench.blocks import Environment, TwoBlocks, Weights, changed
from irmbench.interface import Array, Setting, hyper, stream

SIGNS = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0], [-1.0, 1.0]])  # animal and background of the four categories


@dataclass(frozen=True)
class Herd(Environment):
    """An environment: the chance p of the usual background, and s of a cow; and what a published slip shuffles."""

    p: float = 0.95
    s: float = 0.3
    shuffled_from: int | None = None  # the first column of [x, z] whose rows are, with those after it


@dataclass(frozen=True)
class UnitTest2(TwoBlocks):
    """Animal a and background b in {-1, 1}: x ~ N(a, 0.1) / 100 and z ~ N(b, 0.1) per coordinate, y = 1[sum_j x_j > 0].

    P(a = 1) = s and P(b = a) = p; trained on (p, s) = (.95, .3), (.97, .5), (.99, .7), then U(.9, 1), U(.3, .7). The
    target is a function of x, so coefficients have no scale. Tests permute the rows of z; as published until November
    2021 (split original) they permute the columns of [x, z] from the number of ``others`` on, which are those of z only
    where it equals the number of causes.
    """

    paper = "Aubin, Slowik, Arjovsky, Bottou and Lopez-Paz 2021, arXiv 2102.10867, example 2"
    loss = "logistic"
    intercept = True
    scale_free = True

    n: int = hyper(10_000, "examples per training environment", low=2)
    causes: int = hyper(5, "inputs that tell the animal", low=1)
    others: int = hyper(5, "inputs that tell the background", low=0)
    environments: int = hyper(3, "training environments", low=1)
    split: Literal["corrected", "original"] = hyper("corrected", "what tests permute: z, or as first published")

    @property
    def setting(self) -> Setting:
        return Setting(scrambled=self.scrambled, mean_shift=True, shift="correlation of background and animal")

    def training(self, seed: int) -> list[Herd]:
        more = stream("environments", seed).uniform([0.9, 0.3], [1.0, 0.7], (max(self.environments - 3, 0), 2))
        return [Herd(p=p, s=s) for p, s in [(0.95, 0.3), (0.97, 0.5), (0.99, 0.7), *more.tolist()]][: self.environments]

    def testing(self, seed: int) -> list[Herd]:
        if self.split == "original":
            return changed(self.training(seed), shuffled_from=self.others)
        return changed(self.training(seed), permuted=True)

    def causal(self, weights: Weights) -> tuple[Array, int]:
        return np.ones(self.causes), self.others

    def draw(self, n: int, rng: np.random.Generator, env: Herd, weights: Weights) -> tuple[Array, Array, Array]:
        p, s = env.p, env.s
        category = rng.choice(4, n, p=[p * s, (1 - p) * s, p * (1 - s), (1 - p) * (1 - s)])
        animal, background = SIGNS[category].T[..., None]
        x = (animal + np.sqrt(0.1) * rng.standard_normal((n, self.causes))) / 100
        z = background + np.sqrt(0.1) * rng.standard_normal((n, self.others))
        if env.shuffled_from is not None:
            inputs = np.concatenate([x, z], 1)
            inputs[:, env.shuffled_from :] = rng.permutation(inputs[:, env.shuffled_from :])
            x, z = np.split(inputs, [self.causes], 1)
        return x, z, (x.sum(1) > 0).astype(float)
