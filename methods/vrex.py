"""V-REx: the risk, plus the variance of the risks across environments."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from irmbench.interface import Environments, Method, Tolerance, annealed, hyper, log_uniform


@dataclass(frozen=True)
class VREx(Method):
    """sum_e R_e + beta Var_e(R_e); published code takes the mean of the risks, and divides the variance by E.

    It also anneals: until then beta is 1. For coloured MNIST all is divided by beta where that is above 1.
    """

    paper = "Krueger et al. 2021, arXiv 2003.00688, equation 8"
    family = "risk-based"
    tolerates = Tolerance(y_noise_varies="no", hidden_confounding="yes", anti_causal="yes")
    min_environments = 2
    path = "penalty_weight"
    limit = {"penalty_weight": 1e8}

    penalty_weight: float = hyper(1e4, "beta, the variance against the risk", search=log_uniform(-1, 5), low=0)
    risk: Literal["mean", "sum"] = hyper("mean", "how the risks are added")
    ddof: int = hyper(0, "what the variance subtracts from E in its denominator", low=0, high=1)
    divided: bool = hyper(False, "divide by beta where it is above 1, as published code for coloured MNIST does")
    anneal: int = hyper(0, "updates before which beta is 1 (DomainBed: 500, coloured MNIST: 100)", low=0)

    def objective(self, env: Environments) -> Tensor:
        risk = env.risk.mean() if self.risk == "mean" else env.risk.sum()
        weight = annealed(self.penalty_weight, env.step, self.anneal, before=1.0)
        objective = risk + weight * env.risk.var(correction=self.ddof)
        return objective / weight.clamp(min=1) if self.divided else objective
