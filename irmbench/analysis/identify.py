"""Which methods identify the causal coefficients under which assumptions: computed, not asserted.

Every method is asked for its solution on the exact moments of a dataset, in the limit of its regularisation, so that
neither sampling nor an optimiser stands between its objective and the answer.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from tqdm import tqdm

from irmbench import plugins
from irmbench.engine.batch import Batch
from irmbench.engine.solve import resolve_solver, solve, why_not
from irmbench.interface import Dataset, Method, Solver, Truth
from irmbench.moments import Moments, compress, merge, stack
from irmbench.parameters import checked, split
from irmbench.runs.scores import score_coefficients, unscramble

Verdict = Literal["identified", "not identified", "undefined"]
CLASSES = Path(__file__).parents[1] / "data" / "assumption_classes.toml"
SEEDS = (0, 1, 2)  # of random weights
CLOSE = 0.02  # of the length of the causal coefficients: limits are taken at large, not infinite, weights
ROWS, PARTS = 250_000, 16  # of the sample that stands for a population without exact moments
STEPS = 50_000  # of a method that is defined by its updates


@dataclass(frozen=True)
class Cell:
    """The answer of one method under one class of assumptions.

    Attributes:
        method, assumptions, dataset: which.
        verdict: whether the solution is the causal coefficients, another, or none.
        reason: why there is none.
        distance: ||b - b*|| / ||b*||, the largest of the seeds.
        causal, other: the mean of b_i / b*_i over causes and of b_i over other inputs, under the first seed: where the
            solution goes.
        coefficients: all of b, unscrambled, under the first seed.
        exact: whether the moments are exact, rather than of some million examples.

    """

    method: str
    assumptions: str
    dataset: str
    verdict: Verdict
    reason: str = ""
    distance: float | None = None
    causal: float | None = None
    other: float | None = None
    coefficients: tuple[float, ...] = ()
    exact: bool = True


@dataclass(frozen=True)
class AssumptionClass:
    """A class of assumptions, the dataset that stands for it, its moments and truths by seed."""

    name: str
    dataset: Dataset
    moments: list[Moments]
    truths: list[Truth]


def identify(methods: list[str] | None = None, progress: bool = False) -> list[Cell]:
    """Return the identification matrix: a cell for every method and class of assumptions.

    Of all methods, that is of those that learn from training environments, about which it is.
    """
    names = list(plugins.discover("methods")) if methods is None else methods
    asked = {name: within_limit(plugins.load("methods", name)) for name in names}  # before the classes, which take long
    if methods is None:
        asked = {name: method for name, method in asked.items() if method.trains_on == "training"}
    of_classes = list(classes())
    return [
        answer(name, method, one)
        for name, method in tqdm(asked.items(), desc="identify", unit="method", disable=not progress)
        for one in of_classes
    ]


def classes() -> Iterator[AssumptionClass]:
    """Yield the classes of assumptions, each with its moments."""
    for entry in tomllib.loads(CLASSES.read_text(encoding="utf-8"))["class"]:
        name, params = split(entry["dataset"])
        dataset: Dataset = checked(plugins.load("datasets", name), name, params)
        moments = [_moments(dataset, seed) for seed in SEEDS]
        yield AssumptionClass(entry["name"], dataset, moments, [dataset.truth(seed) for seed in SEEDS])


def within_limit(cls: type[Method]) -> Method:
    """Return a method with its regularisation as far towards its limit as its file says."""
    return cls(**cls.limit)


def answer(name: str, method: Method, of: AssumptionClass) -> Cell:
    """Return one method's answer under one class of assumptions."""
    exact = of.moments[0].population
    blank = Cell(name, of.name, of.dataset.label, "undefined", exact=exact)
    if method.trains_on == "testing":
        return replace(blank, reason="learns from the test environments")
    solver = _solver(method)
    environments = of.moments[0].second.shape[0]
    reason = why_not(method, of.dataset, solver, environments, has_population=True)
    if reason is None and not exact and method.needs_examples:
        reason = "needs the moments of a population, which the dataset has not in closed form"
    reason = reason or next(filter(None, map(method.undefined, of.moments)), None)
    if reason is not None:
        return replace(blank, reason=reason)
    data = stack(of.moments)
    seeds = list(range(len(of.truths)))
    fit = solve(Batch([method], data, of.truths, [solver], seeds)).coefficients[:, 0]
    found = [unscramble(b, truth) for b, truth in zip(fit, of.truths, strict=True)]
    if not all(bool(torch.isfinite(b).all()) for b in found):
        return replace(blank, reason="the solution is not finite")
    return _judged(blank, found, of)


def as_json(cells: list[Cell]) -> list[dict[str, Any]]:
    """Return the matrix as plain objects."""
    return [asdict(cell) for cell in cells]


def _judged(blank: Cell, found: list[Tensor], of: AssumptionClass) -> Cell:
    pairs = zip(found, of.truths, strict=True)
    distance = max(score_coefficients(b, truth, of.dataset.scale_free).distance for b, truth in pairs)
    b, truth = found[0], of.truths[0]
    return replace(
        blank,
        verdict="identified" if distance <= CLOSE else "not identified",
        distance=distance,
        causal=float((b / truth.coefficients)[truth.causal].mean()),
        other=float(b[~truth.causal].mean()) if bool((~truth.causal).any()) else None,
        coefficients=tuple(b.tolist()),
    )


def _solver(method: Method) -> Solver:
    """Return what solves a method on moments: converged, or its own steps where it is defined by them."""
    if method.defines("objective") or method.defines("fit"):
        return resolve_solver(method, "population")
    return resolve_solver(method, "official", data="population", steps=STEPS)


def _moments(dataset: Dataset, seed: int) -> Moments:
    exact = dataset.population(seed)
    if exact is not None:
        return exact
    # Every part is a seed of its own, so the truth must be the same under all seeds.
    return merge(compress(dataset.sample(ROWS, PARTS * seed + part)) for part in range(PARTS))
