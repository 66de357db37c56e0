"""What the command line changes about a suite."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Sequence

import msgspec

from irmbench.errors import UserError, suggest
from irmbench.parameters import Table, split
from irmbench.suite import Suite, validated


@dataclasses.dataclass(frozen=True)
class Changes:
    """What the command line changes about a suite.

    Attributes:
        seeds: data seeds; an experiment with fewer of its own keeps those.
        methods: ids of the only methods to run; one that the suite does not name joins its open experiments, or all of
            them where none is open; but none that is named, for such a name is one method's.
        datasets: ids of the only datasets to run, likewise.
        solver: the only solver to run.
        record_every: steps between recorded coefficients.
        values: ``methods.ID.PARAMETER=VALUE`` and ``datasets.ID.PARAMETER=VALUE``.

    """

    seeds: int | None = None
    methods: str | Sequence[str] = ()
    datasets: str | Sequence[str] = ()
    solver: str | None = None
    record_every: int | None = None
    values: Sequence[str] = ()


def change(suite: Suite, changes: Changes) -> Suite:
    """Return the suite with changes made, checked as a file is."""
    table: Table = msgspec.to_builtins(suite)
    if changes.seeds is not None:
        table["seeds"] = changes.seeds
    for experiment in table["experiments"]:
        if changes.seeds is not None and experiment["seeds"] is not None:
            experiment["seeds"] = min(experiment["seeds"], changes.seeds)
        if changes.record_every is not None:
            experiment["record_every"] = changes.record_every
        if changes.solver:
            named = [entry for entry in experiment["solvers"] if _name(entry, "name") == changes.solver]
            experiment["solvers"] = named or [changes.solver]
    for kind, wanted in (("methods", changes.methods), ("datasets", changes.datasets)):
        if wanted:
            _keep(table, kind, [wanted] if isinstance(wanted, str) else wanted)
    if changes.methods:
        for experiment in table["experiments"]:
            experiment["open"] = False
    for value in changes.values:
        _set(table, value)
    if changes.methods or changes.datasets or changes.solver:
        table["timing"] = None  # of a part of the suite, the penalty is not
    return validated(table)


def _keep(table: Table, kind: str, wanted: Sequence[str]) -> None:
    """Keep the wanted plugins of a kind, and the experiments that have some."""
    experiments = table["experiments"]
    known = {_name(entry, "id") for experiment in experiments for entry in experiment[kind]}
    new = [name for name in wanted if name not in known]
    some_open = any(experiment["open"] for experiment in experiments)
    joined = [of for of in experiments if (of["open"] or not some_open) and not (kind == "methods" and of["name"])]
    if new and not joined:
        raise UserError(
            f"--{kind}: {new[0]!r} cannot join: every experiment here is one method's own.{suggest(new[0], known)}"
        )
    for experiment in experiments:
        kept = [entry for name in wanted for entry in experiment[kind] if _name(entry, "id") == name]
        experiment[kind] = kept + [name for name in new if experiment in joined]
    table["experiments"] = [experiment for experiment in experiments if experiment[kind]]


def _name(entry: str | Table, key: str) -> str:
    return entry if isinstance(entry, str) else str(entry.get(key))


def _set(table: Table, assignment: str) -> None:
    """Apply one ``methods.irmv1.penalty_weight=1e4``."""
    where, equals, text = assignment.partition("=")
    kind, name, parameter = [*where.split("."), "", ""][:3]
    if parameter == "id":
        raise UserError(f"--set {assignment}: unknown parameter 'id': it names the {kind[:-1]}")
    if not equals or kind not in ("methods", "datasets") or not parameter or where.count(".") != 2:
        raise UserError(f"--set {assignment}: expected methods.ID.PARAMETER=VALUE or datasets.ID.PARAMETER=VALUE")
    try:
        held = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        held = {}
    value = held["value"] if held.keys() == {"value"} else text  # a bare word is a string
    found = False
    for experiment in table["experiments"]:
        for index, entry in enumerate(experiment[kind]):
            if split(entry)[0] == name:
                experiment[kind][index] = {**split(entry)[1], "id": name, parameter: value}
                found = True
    if not found:
        names = {split(entry)[0] for experiment in table["experiments"] for entry in experiment[kind]}
        raise UserError(f"--set {assignment}: the suite runs no {kind[:-1]} {name!r}.{suggest(name, names)}")
