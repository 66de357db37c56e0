"""What every dataset must keep to."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from irmbench.contract.findings import NotCheckedError, require
from irmbench.interface import Dataset
from irmbench.moments import Moments, compress
from irmbench.parameters import checked
from irmbench.runs.scores import Tester

SMALL = 40  # examples an environment
LARGE = 100_000  # examples that population moments are compared with
ERRORS = 6  # standard errors, of some hundreds of moments


def metadata(dataset: Dataset) -> str:
    """Every field is described, defaults are in range, and the paper is named."""
    require(bool(dataset.paper), "name the paper, or say whose construction it is")
    checked(type(dataset), type(dataset).__name__, {})
    missing = [f.name for f in dataclasses.fields(dataset) if not f.metadata.get("help")]
    require(not missing, f"declare with `hyper(default, help)`: {', '.join(missing)}")
    return f"{len(dataclasses.fields(dataset))} parameters; {dataset.assumption_class}"


def samples(dataset: Dataset) -> str:
    """Samples are [E, n, d] and [E, n], finite, and labels 0 or 1."""
    drawn = dataset.sample(SMALL, 0)
    require(drawn.inputs.dim() == 3, f"inputs have shape {tuple(drawn.inputs.shape)}, not [E, n, d]")
    expected = tuple(drawn.inputs.shape[:2])
    require(tuple(drawn.targets.shape) == expected, f"targets {tuple(drawn.targets.shape)}, inputs {expected}")
    require(expected[1] == SMALL, f"asked for {SMALL} examples, got {expected[1]}")
    require(all(bool(torch.isfinite(t).all()) for t in drawn.tensors), "an input or a target is not finite")
    facts = (drawn.logistic, drawn.intercept, drawn.network)
    said = (dataset.loss == "logistic", dataset.intercept, dataset.network)
    require(facts == said, f"logistic, intercept, network are {facts} of the sample and {said} of the dataset")
    if drawn.logistic:
        require(set(drawn.targets.flatten().tolist()) <= {0.0, 1.0}, "under logistic loss targets are 0 or 1")
    return f"{expected[0]} environments of {drawn.inputs.shape[-1]} inputs"


def seeds(dataset: Dataset) -> str:
    """A seed gives the same sample again, another one gives another."""
    first, again, other = (dataset.sample(SMALL, seed) for seed in (0, 0, 1))
    require(torch.equal(first.inputs, again.inputs), "the same seed gave other inputs")
    require(torch.equal(first.targets, again.targets), "the same seed gave other targets")
    differs = not torch.equal(first.inputs, other.inputs) or not torch.equal(first.targets, other.targets)
    return "another seed gives another sample" if differs else "nothing is random"


def truth(dataset: Dataset) -> str:
    """The truth has a coefficient an input, its mask marks those that are not zero, and unscrambling is orthogonal."""
    told, d = dataset.truth(0), dataset.sample(2, 0).inputs.shape[-1]
    if dataset.network is not None:
        require(len(told.coefficients) == 0, "a network has no causal coefficients: leave them empty")
        return "none, of a network"
    shapes = [tuple(t.shape) for t in (told.coefficients, told.causal, told.unscramble)]
    require(shapes == [(d,), (d,), (d, d)], f"shapes {shapes} for {d} inputs")
    require(told.causal.dtype == torch.bool, "`causal` is a mask of booleans")
    require(bool((told.coefficients[~told.causal] == 0).all()), "a coefficient off the causes is not zero")
    eye = torch.eye(d, dtype=torch.float64)
    require(bool(torch.allclose(told.unscramble @ told.unscramble.mT, eye)), "`unscramble` is not orthogonal")
    require(
        dataset.setting.scrambled or bool(torch.equal(told.unscramble, eye)), "rotated, but `setting` does not say so"
    )
    return f"{int(told.causal.sum())} causes of {d} inputs"


def population(dataset: Dataset) -> str:
    """Population moments are those of a large sample, in units of their standard errors."""
    return _compare(dataset.population(0), dataset, test=False)


def test_population(dataset: Dataset) -> str:
    """So are those of the test environments."""
    return _compare(dataset.test_population(0), dataset, test=True)


def test_environments(dataset: Dataset) -> str:
    """The causal coefficients can be tested on held-out environments."""
    tester = Tester(dataset, 0, dataset.truth(0))
    data = dataset.test_sample(SMALL, 0)
    require(
        not torch.equal(data.inputs[:1], dataset.sample(SMALL, 0).inputs[:1]), "the test sample is the training one"
    )
    point = torch.zeros(data.dimension, dtype=torch.float64)
    scores = tester(point)
    require(all(value == value for value in scores.values()), f"scores are not numbers: {scores}")
    return (
        f"{data.targets.shape[0]} environments; without coefficients the worst risk is {scores['worst_test_risk']:.3g}"
    )


CHECKS = (metadata, samples, seeds, truth, population, test_population, test_environments)


def _compare(exact: Moments | None, dataset: Dataset, test: bool) -> str:
    if exact is None:
        raise NotCheckedError("there are none in closed form")
    require(exact.population, "moments of a population must say so: Moments(..., population=True)")
    sample = (dataset.test_sample if test else dataset.sample)(LARGE, 0)
    seen = compress(sample).second
    require(exact.second.shape == seen.shape, f"shape {tuple(exact.second.shape)}, of a sample {tuple(seen.shape)}")
    gap = (exact.second - seen).abs() / _standard_error(sample.inputs, sample.targets)
    require(bool((gap <= ERRORS).all()), f"{float(gap.max()):.1f} standard errors from {LARGE:,} examples")
    return f"at most {float(gap.max()):.1f} standard errors from {LARGE:,} examples"


def _standard_error(inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the standard error of every second moment of (x, 1, y), [E, d + 2, d + 2]."""
    rows = torch.cat([inputs, torch.ones_like(targets)[..., None], targets[..., None]], -1)
    n = rows.shape[-2]
    square = rows.mT @ rows / n
    fourth = (rows**2).mT @ rows**2 / n
    return ((fourth - square**2).clamp(min=0) / n).sqrt() + 1e-12 * square.abs().amax((-2, -1), keepdim=True)
