"""Suites: a TOML file says what is run; from it come the trials, each with everything needed to run it again."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from irmbench import plugins
from irmbench.draws import Searched, check_search, drawn
from irmbench.errors import UserError, suggest
from irmbench.parameters import Table, instances, split

Score = Literal["test_risk", "error_causal", "error_noncausal", "distance"]
Entries = Annotated[list[str | Table], Meta(min_length=1)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
MOST = 10**10  # examples of an environment: hours of drawing
LATER = {"name": "", "held_out": None, "validate": False}  # fields that the first records lack, and what that means


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
    name: str = ""  # what tables call its method, if not by the id
    draws: Count = 1  # hyper-parameter draws per method: the given values, then random ones
    search: Searched = {}  # where draws come from if not from a method's own ranges; a list holds a value for each draw
    hold_out: Literal["none", "last", "each"] = (
        "none"  # "last": no trial trains on it; "each": further trials, without one
    )
    validate: bool = False  # whether a single draw's risks on fresh examples are recorded too
    record_every: Annotated[int, Meta(ge=0)] = 0  # steps between recorded coefficients; 0: none
    open: bool = False  # whether methods that the suite does not name join: those of a user's own, and asked-for ones


class Selection(Struct, forbid_unknown_fields=True):
    """How hyper-parameters are selected, and which of the selected ones' scores are tabled."""

    of: Literal["all seeds", "each seed"] = "all seeds"  # one candidate for all data seeds, or one for each
    scores: Annotated[list[Score], Meta(min_length=1)] = msgspec.field(default_factory=lambda: ["test_risk"])

    @property
    def each_seed(self) -> bool:
        """Whether one is selected for each seed."""
        return self.of == "each seed"


class Suite(Struct, forbid_unknown_fields=True):
    """A named collection of experiments."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    experiments: Annotated[list[Experiment], Meta(min_length=1)]
    description: str = ""
    seeds: Count = 20
    timing: Timing | None = None
    selection: Selection = msgspec.field(default_factory=Selection)


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
    name: str = ""  # what tables call the method, if not by its id
    held_out: int | None = None  # the environment that it is not trained on
    validate: bool = False  # whether risks on fresh examples are recorded, to select hyper-parameters by

    @property
    def id(self) -> str:
        """The id, the same wherever and whenever the trial is run."""
        content = msgspec.to_builtins(self)
        told = {key: value for key, value in content.items() if key not in LATER or value != LATER[key]}
        return hashlib.blake2b(msgspec.json.encode(told, order="sorted"), digest_size=8).hexdigest()


def load_suite(name_or_file: str) -> Suite:
    """Return a suite by its name, or from a TOML file."""
    known = plugins.suites()
    path = known.get(name_or_file) or Path(name_or_file)
    try:
        if not name_or_file or (path.suffix != ".toml" and not path.exists()):
            raise LookupError
        if path.is_dir():
            raise UserError("is a folder, not a TOML file")
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
        return validated(tomllib.loads(text))
    except RecursionError as error:
        raise UserError("not TOML that can be read: nested too deeply") from error
    except ValueError as error:  # a number of thousands of digits is one, and what is not TOML
        raise UserError(f"not TOML: {error}") from error


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
    named = {(experiment.name, split(entry)[0]) for experiment in suite.experiments for entry in experiment.methods}
    for name, count in Counter(name for name, _ in named if name).items():
        if count > 1:
            raise UserError(f"experiments: the name {name!r} stands for {count} methods; name each apart")
    return suite


def trials(suite: Suite) -> list[Trial]:
    """Return the suite's trials, each once, in the order of the file."""
    found: dict[str, Trial] = {}
    for experiment in suite.experiments:
        for content in _combinations(experiment, users=experiment.open):
            held_out = _held_out(experiment, content)
            for seed, kept in itertools.product(range(experiment.seeds or suite.seeds), held_out):
                trial = Trial(**content, data_seed=seed, held_out=kept)
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
    if large := next(((name, d.n) for name, d in datasets if d.n > MOST), None):
        exact = "; the solver `population` tells what the largest sample would"
        raise UserError(f"{large[0]}.n: expected at most {MOST:,} examples, got {large[1]:,}{exact}")
    entries = [*experiment.methods]
    if users:
        named = {split(entry)[0] for entry in entries}
        entries += [name for name, p in plugins.discover("methods").items() if not p.bundled and name not in named]
    check_search(experiment.search, [plugins.load("methods", split(entry)[0]) for entry in entries], experiment.draws)
    methods = [one for entry in entries for one in drawn(entry, experiment.draws, experiment.search)]
    for (dataset, d), one, entry in itertools.product(datasets, methods, experiment.solvers):
        solver_params = dataclasses.asdict(one.solver(entry, d.loss))
        yield {
            "dataset": dataset,
            "dataset_params": dataclasses.asdict(d),
            "method": one.id,
            "method_params": dataclasses.asdict(one.method),
            "draw": one.draw,
            "solver": solver_params.pop("name"),
            "solver_params": solver_params,
            "record_every": experiment.record_every,
            "name": experiment.name,
            "validate": experiment.validate or experiment.draws > 1,
        }


def _held_out(experiment: Experiment, content: Table) -> list[int | None]:
    """Return which training environments are kept from a trial's training, one after another; None for none."""
    if experiment.hold_out == "none":
        return [None]
    dataset = plugins.load("datasets", content["dataset"])(**content["dataset_params"])
    on_training = plugins.load("methods", content["method"]).trains_on == "training"
    environments = (dataset.sample if on_training else dataset.test_sample)(2, 0).targets.shape[0]
    return [environments - 1] if experiment.hold_out == "last" else [None, *range(environments)]


def _with_suggestion(message: str) -> str:
    """Return msgspec's message, with the nearest known key where it complains of an unknown one."""
    unknown = message.partition("unknown field `")[2].partition("`")[0]
    known = {f for struct in (Suite, Experiment, Timing, Selection) for f in struct.__struct_fields__}
    return f"{message}.{suggest(unknown, known)}" if unknown else message
