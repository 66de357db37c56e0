"""Suites: a TOML file says what is run; from it come the trials, each with everything needed to run it again."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from irmbench import plugins
from irmbench.errors import UserError, suggest
from irmbench.interface import Loss, Method, Solver, stream
from irmbench.parameters import Table, checked, instances, split

SOLVERS = ("official", "converged", "population")
Entries = Annotated[list[str | Table], Meta(min_length=1)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]


class Timing(Struct, forbid_unknown_fields=True):
    """The penalty's timings that a suite makes: environments by examples, and pairs of measurements."""

    cases: list[tuple[Count, Annotated[int, Meta(ge=2, le=10**8)]]]
    pairs: Count = 30


class Experiment(Struct, forbid_unknown_fields=True):
    """All methods on all datasets by all solvers. A list in place of a parameter's value makes a grid."""

    datasets: Entries
    methods: Entries
    solvers: Entries = msgspec.field(default_factory=lambda: ["converged"])
    seeds: Count | None = None  # data seeds; default: the suite's
    draws: Count = 1  # hyper-parameter draws per method: the given values, then random ones
    record_every: Annotated[int, Meta(ge=0)] = 0  # steps between recorded coefficients; 0: none
    open: bool = False  # whether methods that the suite does not name join: those of a user's own, and asked-for ones


class Suite(Struct, forbid_unknown_fields=True):
    """A named collection of experiments."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    experiments: Annotated[list[Experiment], Meta(min_length=1)]
    description: str = ""
    seeds: Count = 20
    timing: Timing | None = None


class Trial(Struct, frozen=True, kw_only=True):
    """One fit: all that it depends on. Its id is a hash of its content."""

    dataset: str
    dataset_params: Table
    data_seed: int
    method: str
    method_params: Table
    draw: int
    solver: str
    solver_params: Table
    record_every: int = 0

    @property
    def id(self) -> str:
        """The id, the same wherever and whenever the trial is run."""
        return hashlib.blake2b(msgspec.json.encode(self, order="sorted"), digest_size=8).hexdigest()


def load_suite(name_or_file: str) -> Suite:
    """Return a suite by its name, or from a TOML file."""
    known = plugins.suites()
    path = known.get(name_or_file) or Path(name_or_file)
    try:
        if path.is_dir():
            raise UserError("is a folder, not a TOML file")
        if path.suffix != ".toml" and not path.exists():
            raise LookupError
        return parse(path.read_text(encoding="utf-8"))
    except LookupError:
        message = f"unknown suite {name_or_file!r}.{suggest(name_or_file, known)} See `irmbench list suites`."
        raise UserError(message) from None
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such TOML file") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, UserError) as error:
        raise UserError(f"{path}: {error}") from error


def parse(text: str) -> Suite:
    """Return the suite a TOML text describes; UserError on anything it cannot mean."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"not TOML: {error}") from error
    return validated(table)


def validated(table: Table) -> Suite:
    """Return the suite a table describes; UserError on anything it cannot mean."""
    try:
        suite = msgspec.convert(_with_shared_datasets(table), Suite)
    except msgspec.ValidationError as error:
        raise UserError(_with_suggestion(str(error))) from error
    for index, experiment in enumerate(suite.experiments):
        try:
            list(_combinations(experiment, users=False))
        except UserError as error:
            raise UserError(f"experiments[{index}]: {error}") from error
    return suite


def trials(suite: Suite) -> list[Trial]:
    """Return the suite's trials, each once, in the order of the file."""
    found: dict[str, Trial] = {}
    for experiment in suite.experiments:
        for content in _combinations(experiment, users=experiment.open):
            for seed in range(experiment.seeds or suite.seeds):
                trial = Trial(**content, data_seed=seed, record_every=experiment.record_every)
                found[trial.id] = trial
    return list(found.values())


def _with_shared_datasets(table: Table) -> Table:
    """Return a suite's table with its ``datasets``, if it has some, in every experiment that names none."""
    experiments = table.get("experiments")
    if "datasets" not in table or not isinstance(experiments, list):
        return table
    shared = {"datasets": table["datasets"]}
    experiments = [shared | experiment if isinstance(experiment, dict) else experiment for experiment in experiments]
    return {key: value for key, value in table.items() if key != "datasets"} | {"experiments": experiments}


def _combinations(experiment: Experiment, users: bool) -> Iterator[Table]:
    """Yield the fields of a trial, but for its data seed; with ``users``, of a user's own methods too."""
    datasets = [(split(entry)[0], d) for entry in experiment.datasets for d in instances("datasets", entry)]
    entries = [*experiment.methods]
    if users:
        named = {split(entry)[0] for entry in entries}
        entries += [name for name, p in plugins.discover("methods").items() if not p.bundled and name not in named]
    methods = [drawn for entry in entries for drawn in _drawn(entry, experiment.draws)]
    for (dataset, d), (method, m, draw), entry in itertools.product(datasets, methods, experiment.solvers):
        solver_params = dataclasses.asdict(_solver(m, entry, d.loss))
        yield {
            "dataset": dataset,
            "dataset_params": dataclasses.asdict(d),
            "method": method,
            "method_params": dataclasses.asdict(m),
            "draw": draw,
            "solver": solver_params.pop("name"),
            "solver_params": solver_params,
        }


def _drawn(entry: str | Table, draws: int) -> Iterator[tuple[str, Method, int]]:
    """Yield a method's instances: draw 0 as given; in the others, what is not given is drawn from its search range."""
    name, given = split(entry)
    for method in instances("methods", entry):
        for draw in range(draws):
            searched = {
                f.name: f.metadata["search"].draw(stream(f"draw {name} {f.name}", draw))
                for f in dataclasses.fields(method)
                if draw and f.metadata.get("search") and f.name not in given
            }
            if draw and not searched:
                break  # there is nothing to draw
            yield name, dataclasses.replace(method, **searched), draw


def _solver(method: Method, entry: str | Table, loss: Loss) -> Solver:
    from irmbench.solve import resolve_solver  # it imports the solvers, which listing suites does not need

    given = {"name": entry} if isinstance(entry, str) else dict(entry)
    name = given.pop("name", None)
    if name not in SOLVERS:
        raise UserError(
            f"solvers: expected a name among {', '.join(SOLVERS)}, got {name!r}.{suggest(str(name), SOLVERS)}"
        )
    defaults = resolve_solver(method, name, loss)
    changes = {key: getattr(checked(Solver, "solver", given), key) for key in given}
    return dataclasses.replace(defaults, **changes)


def _with_suggestion(message: str) -> str:
    """Return msgspec's message, with the nearest known key where it complains of an unknown one."""
    unknown = message.partition("unknown field `")[2].partition("`")[0]
    known = {f for struct in (Suite, Experiment, Timing) for f in struct.__struct_fields__}
    return f"{message}.{suggest(unknown, known)}" if unknown else message
