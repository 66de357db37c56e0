"""Settings of a method that differ in one hyper-parameter."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from typing import Any

import numpy as np

from irmbench.interface import Method

AnyField = dataclasses.Field[Any]


def variations(method: Method, field: AnyField, steps: int) -> Iterator[tuple[Method, Method]]:
    """Yield pairs that differ in this field alone: the method and others, then beside each choice of other fields.

    Numbers of steps are tried below ``steps``, where they can show.
    """
    for base in (method, *_choices(method, field.name, steps)):
        for value in _values(method, field, steps):
            other = dataclasses.replace(base, **{field.name: value})
            if other != base and not other.problem:
                yield base, other


def _choices(method: Method, but: str, steps: int) -> Iterator[Method]:
    """Yield the method with another value of one other field: every choice, and one number."""
    for field in dataclasses.fields(method):
        values = _values(method, field, steps)
        choices = values if isinstance(getattr(method, field.name), str | bool) else values[:1]
        for value in choices if field.name != but else ():
            if not (changed := dataclasses.replace(method, **{field.name: value})).problem:
                yield changed


def _values(method: Method, field: AnyField, steps: int) -> list[Any]:
    """Return other values of a field, within its limits."""
    value, hint = getattr(method, field.name), typing.get_type_hints(type(method))[field.name]
    if typing.get_origin(hint) is typing.Literal:
        return [choice for choice in typing.get_args(hint) if choice != value]
    if value is None:  # a number that the method sets by itself
        return [0.3]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        candidates: list[Any] = [value + 1, value + steps // 2, value // 10, value - 1, value + 20]
    else:
        search = field.metadata.get("search")
        drawn = [search.draw(np.random.default_rng(seed)) for seed in range(2)] if search else []
        candidates = [*drawn, value / 2, value / 2 + 0.1, 0.3]
    low, high = field.metadata.get("low"), field.metadata.get("high")
    return [v for v in candidates if v != value and (low is None or v >= low) and (high is None or v <= high)]
