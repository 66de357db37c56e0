"""Where a trial's data come from: drawn where they are used, kept as moments for the trials that share them."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, TypeVar

import msgspec

from irmbench import plugins
from irmbench.interface import Dataset, Method, Role, Solver, Truth
from irmbench.moments import Examples, Moments, compress, stack
from irmbench.risks import Data
from irmbench.scores import Tester
from irmbench.suite import Trial

AnyData = TypeVar("AnyData", Moments, Examples)

KEPT = 4096  # data keys whose moments and test environments stay in memory, a few kilobytes each
HELD = 32  # data keys whose examples do, some megabytes each


class Source(NamedTuple):
    """A dataset with its parameters, as canonical JSON, a data seed, and which environments are trained on."""

    dataset: str
    params: bytes
    seed: int
    held_out: int | None = None  # the environment that is not
    role: Role = "training"


def source(trial: Trial) -> Source:
    """Return where a trial's data come from."""
    params = msgspec.json.encode(trial.dataset_params, order="sorted")
    return Source(trial.dataset, params, trial.data_seed, trial.held_out, method_class(trial.method).trains_on)


@lru_cache(KEPT)
def method_class(name: str) -> type[Method]:
    """Return the class of a method."""
    found: type[Method] = plugins.load("methods", name)
    return found


@lru_cache(KEPT)
def dataset(name: str, params: bytes) -> Dataset:
    """Return the dataset itself."""
    built: Dataset = plugins.load("datasets", name)(**msgspec.json.decode(params))
    return built


@lru_cache(KEPT)
def truth(key: Source) -> Truth:
    """Return the causal coefficients."""
    return dataset(key.dataset, key.params).truth(key.seed)


def tester(key: Source) -> Tester:
    """Return the test environments."""
    return _tester(key.dataset, key.params, key.seed)


@lru_cache(HELD)
def _tester(name: str, params: bytes, seed: int) -> Tester:
    return Tester(dataset(name, params), seed, truth(Source(name, params, seed)))


@lru_cache(HELD)
def fresh(name: str, params: bytes, seed: int, role: Role, use: str) -> Examples | None:
    """Return examples of the training or test environments that are drawn for one use and no other."""
    of = dataset(name, params)
    return of.fresh_sample(role, of.n, seed, use)


@lru_cache(KEPT)
def population(key: Source) -> Moments | None:
    """Return the exact moments of what is trained on, where they have a closed form."""
    moments = exact(dataset(key.dataset, key.params), key.role, key.seed)
    return None if moments is None else _without(moments, key.held_out)


def exact(of: Dataset, role: Role, seed: int) -> Moments | None:
    """Return the exact moments of the training or test environments, where they have a closed form."""
    return of.population(seed) if role == "training" else of.test_population(seed)


@lru_cache(KEPT)
def sample_moments(key: Source) -> Moments:
    """Return the moments of the sample, in each environment of as many examples as it has."""
    sizes = dataset(key.dataset, key.params).sizes if key.role == "training" else None
    return _without(moments_of(sample(key._replace(held_out=None)), sizes), key.held_out)


def moments_of(examples: Examples, sizes: tuple[int, ...] | None) -> Moments:
    """Return the moments of the first examples of each environment, as many as its size; of all without sizes."""
    if sizes is None:
        return compress(examples)
    environments = [examples.with_tensors(*(t[e, :n] for t in examples.tensors)) for e, n in enumerate(sizes)]
    moments = stack([compress(environment) for environment in environments])
    assert isinstance(moments, Moments)
    return moments


def sample(key: Source) -> Examples:
    """Return the sample itself, which is too large to keep."""
    return _without(drawn(dataset(key.dataset, key.params), key.role, key.seed), key.held_out)


def drawn(of: Dataset, role: Role, seed: int) -> Examples:
    """Return examples of the training environments to train on, or of the test environments."""
    if role == "training":
        examples = of.sample(of.n, seed)
    elif (found := of.fresh_sample(role, of.n, seed, "data of an oracle")) is not None:
        examples = found
    else:
        raise ValueError(f"{type(of).__name__} draws no sample of its test environments to train on")
    return examples.with_tensors(examples.inputs.double(), examples.targets.double())


def held_out(key: Source) -> Examples:
    """Return the sample's environment that is not trained on."""
    examples = sample(key._replace(held_out=None))
    return examples.with_tensors(*(tensor[key.held_out, None] for tensor in examples.tensors))


def shape(key: Source) -> tuple[int, int]:
    """Return the number of environments that are trained on and of parameters."""
    environments, parameters = _shape(key.dataset, key.params, key.role)
    return environments - (key.held_out is not None), parameters


@lru_cache(KEPT)
def _shape(name: str, params: bytes, role: Role) -> tuple[int, int]:
    small = dataset(name, params).sample(2, 0)
    if role == "testing":
        small = dataset(name, params).test_sample(2, 0)
    return small.targets.shape[0], small.dimension


def _without(data: AnyData, environment: int | None) -> AnyData:
    """Return the data without one environment, or as they are."""
    if environment is None:
        return data
    kept = [e for e in range(data.tensors[0].shape[0]) if e != environment]
    return data.with_tensors(*(tensor[kept] for tensor in data.tensors))


def needs_examples(dataset: Dataset, method: Method, solver: Solver) -> bool:
    """Whether a trial runs on examples rather than on moments."""
    return solver.data == "sample" and (dataset.loss != "squared" or method.needs_examples or method.needs_split)


def data(key: Source, method: Method, solver: Solver) -> Data:
    """Return the training environments as a trial needs them."""
    if solver.data == "population":
        exact = population(key)
        if exact is None:
            raise ValueError(f"{key.dataset} has no population moments")
        return exact
    if needs_examples(dataset(key.dataset, key.params), method, solver):
        return sample(key)
    return sample_moments(key)
