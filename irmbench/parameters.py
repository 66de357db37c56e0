"""Plugins from a suite's entries: ids and parameters, checked for names, types and ranges."""

from __future__ import annotations

import dataclasses
import itertools
import math
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from irmbench import plugins
from irmbench.errors import UserError, suggest

Table = dict[str, Any]


def instances(kind: str, entry: str | Table) -> list[Any]:
    """Return a plugin's instances with the parameters of a suite's entry, one for each point of its grid."""
    name, given = split(entry)
    cls = plugins.load(kind, name)
    grid = {key: value if isinstance(value, list) else [value] for key, value in given.items()}
    for key, values in grid.items():
        if not values:
            raise UserError(f"{name}.{key}: expected a value, or a list of some, got an empty list")
    return [checked(cls, name, dict(zip(grid, point, strict=True))) for point in itertools.product(*grid.values())]


def checked(cls: type[Any], name: str, given: Table) -> Any:
    """Return ``cls(**given)`` after checking names, types and ranges of its fields."""
    fields = {f.name: f for f in dataclasses.fields(cls)}
    hints = _type_hints(cls)  # type: ignore[arg-type] # classes are hashable
    for key in given:
        if key not in fields:
            known = ", ".join(fields) or "none"
            raise UserError(f"{name}: unknown parameter {key!r}.{suggest(key, fields)} It has: {known}")
    values = {}
    for key, f in fields.items():
        values[key] = _check_value(f"{name}.{key}", given.get(key, f.default), hints[key], f.metadata)
    built = cls(**values)
    if problem := getattr(built, "problem", None):
        raise UserError(f"{name}: {problem}")
    return built


@cache
def _type_hints(cls: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _check_value(where: str, value: Any, expected: Any, limits: Mapping[str, Any]) -> Any:
    try:
        converted = msgspec.convert(value, expected)
    except msgspec.ValidationError as error:
        if typing.get_origin(expected) is typing.Literal:
            choices = [str(choice) for choice in typing.get_args(expected)]
            message = f"{where}: expected one of {', '.join(choices)}, got {value!r}.{suggest(str(value), choices)}"
            raise UserError(message) from error
        raise UserError(f"{where}: {str(error)[0].lower()}{str(error)[1:]}") from error
    if isinstance(converted, float) and not math.isfinite(converted):
        raise UserError(f"{where}: expected a finite number, got {converted}")
    low, high = limits.get("low"), limits.get("high")
    if low is not None and converted < low:
        raise UserError(f"{where}: expected at least {low}, got {converted}")
    if high is not None and converted > high:
        raise UserError(f"{where}: expected at most {high}, got {converted}")
    return converted


def split(entry: str | Table) -> tuple[str, Table]:
    """Return an entry's id and the parameters given with it."""
    if isinstance(entry, str):
        return entry, {}
    if not isinstance(entry.get("id"), str):
        raise UserError(f'a table of a method or dataset needs its id, as in {{ id = "erm" }}; got {entry}')
    return entry["id"], {key: value for key, value in entry.items() if key != "id"}
