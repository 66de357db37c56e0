"""Oracle that trains on the test environments, where effects are shuffled or set and only causes predict."""

from dataclasses import dataclass

from torch import Tensor

from irmbench.interface import Environments, Method, Moments, Tolerance
from irmbench.least_squares import pooled, solve


@dataclass(frozen=True)
class OracleShuffled(Method):
    """min sum_e (n_e / N) R_e over the test environments, on examples of their own; it is told no coefficients."""

    paper = "Aubin, Slowik, Arjovsky, Bottou and Lopez-Paz 2021, arXiv 2102.10867, section 4"
    family = "oracle"
    tolerates = Tolerance(y_noise_varies="yes", hidden_confounding="partly", anti_causal="partly")
    trains_on = "testing"

    def objective(self, env: Environments) -> Tensor:
        return (env.share * env.risk).sum()

    def fit(self, moments: Moments) -> Tensor:
        return solve(pooled(moments.gram, moments), pooled(moments.cross, moments))
