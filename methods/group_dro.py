"""Group DRO: the least worst risk, with environment weights that grow where the risk is large."""

from dataclasses import dataclass

import torch
from torch import Tensor

from irmbench.interface import Environments, Method, Tolerance, hyper, log_uniform


@dataclass(frozen=True)
class GroupDRO(Method):
    """min max_e R_e. Online: q_e <- q_e exp(eta R_e), normalised, before each step along sum_e q_e g_e."""

    paper = "Sagawa, Koh, Hashimoto and Liang 2020, arXiv 1911.08731, algorithm 1"
    family = "robust optimisation"
    tolerates = Tolerance(y_noise_varies="no", hidden_confounding="no", anti_causal="no")
    min_environments = 2
    path = "smoothing"

    eta: float = hyper(1e-2, "step size of the environments' weights", search=log_uniform(-3, -1), low=0)

    def objective(self, env: Environments) -> Tensor:
        return env.max(env.risk)

    def initial_state(self, environments: int) -> Tensor:
        return torch.full((environments,), 1 / environments, dtype=torch.float64)

    def next_state(self, env: Environments) -> Tensor:
        # In logarithms: exp(eta R_e) overflows where a risk is large.
        return torch.softmax(env.state.log() + self.eta * env.risk, -1)

    def direction(self, env: Environments) -> Tensor:
        return env.state @ env.gradient
