"""Where a trial's data come from: drawn where they are used, kept as moments for the trials that share them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple, TypeVar

import msgspec

from irmbench import plugins
from irmbench.engine.risks import Data
from irmbench.interface import Dataset, Method, Role, Solver, Truth
from irmbench.moments import Examples, Moments, compress
from irmbench.runs import streams
from irmbench.runs.scores import Tester
from irmbench.suite import Trial

AnyData = TypeVar("AnyData", Moments, Examples)

KEPT = 4096  # data keys whose moments and test environments stay in memory, a few kilobytes each
HELD = 32  # data keys whose examples do, some megabytes each
USES: dict[Role, str] = {"training": "data", "testing": "data of an oracle"}  # what samples to train on are drawn for


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
def fresh(name: str, params: bytes, seed: int, role: Role, use: str) -> Data | None:
    """Return examples of the training or test environments that are drawn for one use and no other."""
    of = dataset(name, params)
    moments = streams.streamed(of, role, seed, use)
    return of.fresh_sample(role, of.n, seed, use) if moments is None else moments


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
    if key.held_out is not None:
        return _without(sample_moments(key._replace(held_out=None)), key.held_out)
    return drawn_moments(dataset(key.dataset, key.params), key.role, key.seed)


def drawn_moments(of: Dataset, role: Role, seed: int) -> Moments:
    """Return the moments of examples of the training environments to train on, or of the test environments."""
    sizes = of.sizes if role == "training" else None
    moments = streams.streamed(of, role, seed, USES[role], sizes)
    return compress(drawn(of, role, seed), sizes) if moments is None else moments


def sample(key: Source) -> Examples:
    """Return the sample itself, which is too large to keep."""
    return _without(drawn(dataset(key.dataset, key.params), key.role, key.seed), key.held_out)


def drawn(of: Dataset, role: Role, seed: int) -> Examples:
    """Return examples of the training environments to train on, or of the test environments."""
    if streams.in_chunks(of, role):
        examples = streams.whole(of, role, seed, USES[role])
    elif role == "training":
        examples = of.sample(of.n, seed)
    elif (found := of.fresh_sample(role, of.n, seed, USES[role])) is not None:
        examples = found
    else:
        raise ValueError(f"{type(of).__name__} draws no sample of its test environments to train on")
    return examples.with_tensors(examples.inputs.double(), examples.targets.double())


def held_out(key: Source) -> Data:
    """Return the sample's environment that is not trained on."""
    whole = key._replace(held_out=None)
    found = sample_moments(whole) if streams.in_chunks(dataset(key.dataset, key.params)) else sample(whole)
    return found.with_tensors(*(tensor[key.held_out, None] for tensor in found.tensors))


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


def no_room(of: Dataset, method: Method, solver: Solver, environments: int, parameters: int) -> str | None:
    """Return why a trial's data do not fit into this machine's memory, or None."""
    held = needs_examples(of, method, solver) or not streams.in_chunks(of, method.trains_on)
    return streams.no_room(of, environments, parameters) if solver.data == "sample" and held else None


def expected(trials: Iterable[Trial]) -> str | None:
    """Return in words how long the trials' large samples take to draw, or None where they soon are."""
    large = (trial for trial in trials if trial.dataset_params.get("n", 0) > streams.WHOLE)
    keys = {source(trial)._replace(held_out=None): None for trial in large if trial.solver_params["data"] == "sample"}
    return streams.expected((dataset(key.dataset, key.params), key.role) for key in keys)


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
