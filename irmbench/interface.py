"""What a method, a dataset and a hyper-parameter are: the module a plugin author imports.

A plugin is one file holding one frozen dataclass, named as the file: ``methods/vrex.py`` or ``datasets/irm_chain.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from irmbench.environments import Environments
from irmbench.fields import Search, hyper, label, log_uniform, one_minus_log_uniform, uniform
from irmbench.moments import Examples, Moments
from irmbench.networks import Network
from irmbench.truth import Truth

__all__ = [
    "ADAM",
    "CLOSED_FORM",
    "Array",
    "Dataset",
    "Environments",
    "Examples",
    "Loss",
    "Method",
    "Moments",
    "Network",
    "Oracle",
    "Search",
    "Setting",
    "Solver",
    "Tensor",
    "Tolerance",
    "Truth",
    "annealed",
    "hyper",
    "label",
    "log_uniform",
    "one_minus_log_uniform",
    "stream",
    "uniform",
]

Answer = Literal["yes", "no", "partly"]
Role = Literal["training", "testing"]
Loss = Literal["squared", "logistic"]
Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Solver:
    """How coefficients are found: an optimiser as published, or one that runs until nothing improves."""

    name: str = "official"
    optimizer: Literal["sgd", "adam", "newton", "closed_form"] = "adam"
    learning_rate: float = hyper(1e-3, "step size of sgd and adam", low=0)
    weight_decay: float = hyper(0.0, "times the parameters, added to the direction of sgd and adam", low=0)
    steps: int = hyper(10_000, "updates of sgd and adam", low=1)
    start: float | Literal["linear"] = hyper(
        1.0, "every coefficient's first value under sgd and adam, or linear: torch.nn.Linear's, of the draw's seed"
    )
    data: Literal["sample", "population"] = "sample"
    reset_at: int | None = hyper(
        None, "the step at which adam forgets its moments, as published code does on annealing"
    )


ADAM = Solver(optimizer="adam", learning_rate=1e-3, steps=10_000)  # a common budget: that of the Linear Unit Tests
CLOSED_FORM = Solver(optimizer="closed_form")


@dataclass(frozen=True)
class Tolerance:
    """What a method tolerates and still recovers the causal coefficients, as its authors claim."""

    y_noise_varies: Answer = "no"
    hidden_confounding: Answer = "no"
    anti_causal: Answer = "no"
    scrambled: Answer = "yes"


@dataclass(frozen=True)
class Setting:
    """What holds in a dataset."""

    y_noise_varies: bool = False
    hidden_confounding: bool = False
    anti_causal: bool = False
    scrambled: bool = False
    mean_shift: bool = False
    identifiable: bool = True  # whether invariance across the training environments singles out the coefficients
    shift: str = "noise scale"  # what differs between environments


@dataclass(frozen=True)
class Method:
    """An estimator, written for one trial; the engine batches it over seeds and hyper-parameters.

    Override the level that fits: ``objective`` (risks in, one scalar out), ``direction`` (per-environment gradients in,
    one direction of ascent out), or ``fit`` (moments in, coefficients out).
    """

    paper: ClassVar[str] = ""
    family: ClassVar[str] = ""
    tolerates: ClassVar[Tolerance] = Tolerance()
    min_environments: ClassVar[int] = 1
    ordered: ClassVar[bool] = False  # whether the order of environments matters
    official: ClassVar[Solver] = ADAM
    closed_form_losses: ClassVar[tuple[Loss, ...]] = ("squared",)
    path: ClassVar[str | None] = None  # what leads `converged` to the optimum: a float field that grows, or "smoothing"
    limit: ClassVar[Mapping[str, Any]] = {}  # the fields' values that stand for the limit of the regularisation
    split_size: ClassVar[Literal["half", "random"]] = "half"  # of the random split that `needs_split` asks for
    trains_on: ClassVar[Role] = "training"  # an oracle may learn from environments that are those of the test

    @property
    def label(self) -> str:
        """The id and the hyper-parameters that are not the defaults, for tables and plots."""
        return label(self)

    @property
    def problem(self) -> str | None:
        """What is wrong with the hyper-parameters taken together, or None."""
        return None

    @property
    def needs_examples(self) -> bool:
        """Whether moments do not suffice under squared loss."""
        return False

    @property
    def needs_split(self) -> bool:
        """Whether every step looks at a fresh random split of each environment (`env.split_scale_gradients`)."""
        return False

    @property
    def heavy_tailed(self) -> bool:
        """Whether the estimator may have no finite mean over data: tables then give medians over data seeds."""
        return False

    def not_applicable(self, dataset: Dataset, solver: Solver) -> str | None:
        """Return why this method cannot run on this dataset with this solver, or None."""
        return None

    def undefined(self, moments: Moments) -> str | None:
        """Return why these moments, of one seed, do not define the method's coefficients, or None."""
        return None

    def workspace(self, dimension: int) -> int:
        """Return how many numbers ``fit`` holds at once for one trial of so many coefficients."""
        return dimension**2

    def footprint(self, environments: int, n: int) -> int:
        """Return how many numbers a step on ``n`` examples each holds for one trial: as many, unless it pairs them."""
        return environments * n

    def parameters(self, start: Tensor, environments: int) -> Tensor:
        """Return the parameters whose coefficients are ``start`` [P]; the identity unless a method owns another."""
        return start

    def coefficients(self, parameters: Tensor) -> Tensor:
        """Return the coefficients [P] of the given parameters."""
        return parameters

    def project(self, parameters: Tensor) -> Tensor:
        """Return the parameters that an optimiser keeps after a step; the identity unless a method bounds them."""
        return parameters

    def initial_state(self, environments: int) -> Tensor:
        """Return what the method carries between steps; it is expanded to the shape that ``next_state`` has."""
        return torch.zeros(0, dtype=torch.float64)

    def next_state(self, env: Environments) -> Tensor:
        """Return the state as updated before the parameters move; `env.state` is the one before."""
        return env.state

    def objective(self, env: Environments) -> Tensor:
        """Return the scalar to minimise."""
        raise AttributeError(f"{type(self).__name__} defines no objective")

    def direction(self, env: Environments) -> Tensor:
        """Return the direction of ascent at ``env.parameters``, which an optimiser descends; default: the gradient."""
        gradient: Tensor = torch.func.grad(lambda parameters: self.objective(env.at(parameters)))(env.parameters)
        return gradient

    def fit(self, moments: Moments) -> Tensor:
        """Return the coefficients [P] in closed form."""
        raise AttributeError(f"{type(self).__name__} defines no closed form")

    def defines(self, level: Literal["objective", "direction", "fit"]) -> bool:
        """Whether this method overrides ``level``."""
        return getattr(type(self), level) is not getattr(Method, level)


@dataclass(frozen=True)
class Oracle(Method):
    """A closed form that is also given the truth, to say what could be reached."""

    def fit(self, moments: Moments, truth: Truth | None = None, noise: Tensor | None = None) -> Tensor:
        """Return the coefficients [P]; override ``reveal``."""
        if truth is None or noise is None:
            raise ValueError(f"{type(self).__name__} needs the truth")
        return self.reveal(moments, truth, noise)

    def reveal(self, moments: Moments, truth: Truth, noise: Tensor) -> Tensor:
        """Return the coefficients [P], knowing the truth; ``noise`` [P] is standard normal, another for every seed."""
        raise AttributeError(f"{type(self).__name__} reveals nothing")


@dataclass(frozen=True)
class Dataset:
    """A family of environments with known causal coefficients; the fields are its parameters."""

    paper: ClassVar[str] = ""
    loss: ClassVar[Loss] = "squared"
    intercept: ClassVar[bool] = False  # whether predictors on this dataset have one
    scale_free: ClassVar[bool] = False  # whether coefficients are compared up to a positive factor
    irreducible_risk: ClassVar[float] = 0.0  # of a network's predictions: there are no coefficients to test

    n: int = hyper(1000, "examples per training environment", low=2)

    @property
    def sizes(self) -> tuple[int, ...] | None:
        """Each environment's number of examples where they differ, none above ``n``; only moments can hold those."""
        return None

    @property
    def setting(self) -> Setting:
        """Which assumptions hold."""
        raise AttributeError(f"{type(self).__name__} defines no setting")

    @property
    def network(self) -> Network | None:
        """The predictor where no linear one will do; then there are no coefficients to compare, and truth has none."""
        return None

    @property
    def assumption_class(self) -> str:
        """The class that leaderboards group by, made of what tells methods apart."""
        setting = self.setting
        if self.network is not None:
            return "not linear"
        if self.loss == "logistic":
            return "classification, anti-causal" if setting.anti_causal else "classification"
        noise = "Y-noise varies" if setting.y_noise_varies else "Y-noise constant"
        return f"{noise}, confounded" if setting.hidden_confounding else noise

    @property
    def label(self) -> str:
        """The id and the parameters that are not the defaults, for tables and plots."""
        return label(self)

    def truth(self, seed: int) -> Truth:
        """Return the causal coefficients under ``seed``."""
        raise AttributeError(f"{type(self).__name__} defines no truth")

    def sample(self, n: int, seed: int) -> Examples:
        """Return ``n`` examples of every training environment, [E, n, d] and [E, n]."""
        raise AttributeError(f"{type(self).__name__} defines no sample")

    def population(self, seed: int) -> Moments | None:
        """Return the training environments' exact moments, or None where they have no closed form."""
        return None

    def test_sample(self, n: int, seed: int) -> Examples:
        """Return ``n`` examples of every held-out test environment."""
        raise AttributeError(f"{type(self).__name__} defines no test environments")

    def fresh_sample(self, role: Role, n: int, seed: int, stream: str) -> Examples | None:
        """Return ``n`` examples of every training or test environment that no other stream of this seed has drawn.

        None, the default, where a dataset draws no more than one sample: there no hyper-parameter can be validated.
        """
        return None

    def test_population(self, seed: int) -> Moments | None:
        """Return the held-out test environments' exact moments, or None where they have no closed form."""
        return None


def annealed(weight: float | Tensor, step: Tensor, after: int, before: float) -> Tensor:
    """Return a penalty's weight at a step: ``before`` until ``after`` updates are done, as published code anneals."""
    weight = torch.as_tensor(weight, dtype=torch.float64)
    return torch.where(step < after, before, weight) if after else weight


def stream(role: str, *keys: int) -> np.random.Generator:
    """Return the random stream of a role ("data", "weights", "split", ...), keyed by whole numbers.

    Streams of different roles are independent, so drawing more from one never shifts another.
    """
    return np.random.default_rng(np.random.SeedSequence([*role.encode(), 256, *keys]))
