"""The synthetic chain of the IRM paper in its eight variants: hidden confounding, varying noise, scrambling."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from irmbench.blocks import Weights, changed
from irmbench.interface import Array, Setting, hyper, label
from irmbench.sem import Environment, LinearSEM, Noise


@dataclass(frozen=True)
class IRMChain(LinearSEM):
    """h ~ N(0, e^2 I), x = h Whx + N(0, e^2 I), u = x + h Why + noise_y, z = u + h Whz + noise_z; target sum_j u_j.

    Trained on e in {0.2, 2, 5}. The paper's letters: F or P for fully or partially observed (``hidden``), O or E for
    target noise of unit or of environment scale (the effects' noise has the other), U or S for (un)scrambled.
    With a hidden confounder the causal coefficients are not the invariant ones, whose mean squared distance is 2e-3.
    Without a child (Ahuja et al. 2020, arXiv 2010.16412) u does not enter z: what differs are covariates, or with h
    also the confounding.
    """

    paper = "Arjovsky, Bottou, Gulrajani and Lopez-Paz 2019, arXiv 1907.02893, section 5.1"

    hidden: bool = hyper(False, "whether a hidden h confounds causes, target and effects")
    y_noise: Literal["unit", "environment"] = hyper("unit", "the scale of the target's noise")
    d: int = hyper(5, "causes, and as many effects", low=1)
    child: bool = hyper(True, "whether the target has effects among the inputs")
    holdout_last: bool = hyper(False, "whether to train without the last environment, as the paper's IRM did")

    @property
    def setting(self) -> Setting:
        varies = self.y_noise == "environment"
        return Setting(
            varies, self.hidden, anti_causal=self.child, scrambled=self.scrambled, identifiable=not self.hidden
        )

    @property
    def label(self) -> str:
        letters = f"{'FP'[self.hidden]}{'OE'[self.y_noise == 'environment']}{'US'[self.scrambled]}"
        return label(self, letters, of=("hidden", "y_noise", "scrambled"))

    def training(self, seed: int) -> list[Environment]:
        environments = [Environment(e=0.2), Environment(e=2.0), Environment(e=5.0)]
        return environments[:-1] if self.holdout_last else environments

    def testing(self, seed: int) -> list[Environment]:
        unseen = [Environment(e=0.1), Environment(e=1.0), Environment(e=10.0)]
        unit = [Environment(e=1.0)]
        return [
            *unseen,
            *changed(unit, permuted=True),
            *changed(unit, do_causes=3.0),
            *changed(unit, do_effects=3.0),
        ]

    def weights(self, rng: np.random.Generator) -> Weights:
        d = self.d
        if not self.hidden:
            return {"hx": np.eye(d), "hy": np.zeros((d, d)), "hz": np.zeros((d, d))}
        # The published code divides by the number of inputs, not of causes.
        return {name: rng.standard_normal((d, d)) / (2 * d) for name in ("hx", "hy", "hz")}

    def causal(self, weights: Weights) -> tuple[Array, int]:
        return np.ones(self.d), self.d

    def equations(self, noise: Noise, env: Environment, weights: Weights) -> tuple[Array, Array, Array]:
        noise_y, noise_z = (1.0, env.e) if self.y_noise == "unit" else (env.e, 1.0)
        h = env.e * noise(self.d)
        x = env.causes(h @ weights["hx"] + env.e * noise(self.d), noise)
        u = x + h @ weights["hy"] + noise_y * noise(self.d)
        z = env.effects(self.child * u + h @ weights["hz"] + noise_z * noise(self.d), noise)
        return x, z, u.sum(1)
