"""The fields of plugins: hyper-parameters with their defaults, search ranges and limits."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# Seeds of a suite's searches and linear starts, and their generators, are those of the Linear Unit Tests' code (Aubin
# et al. 2021, InvarianceUnitTests at e717c2ff36): draws and starts are those of the published tables.
FIRST_SEED = 1000


@dataclass(frozen=True)
class Search:
    """A distribution to search a hyper-parameter over: U(low, high), or 10 to the power of it, or 1 minus that."""

    low: float
    high: float
    logarithmic: bool
    from_one: bool = False

    def draw(self, rng: np.random.Generator | random.Random) -> float:
        """Return one draw."""
        exponent = float(rng.uniform(self.low, self.high))
        drawn = 10**exponent if self.logarithmic else exponent
        return 1 - drawn if self.from_one else drawn

    def __str__(self) -> str:
        return f"{'1 - ' * self.from_one}{'10^' * self.logarithmic}U({self.low:g}, {self.high:g})"


def log_uniform(low: float, high: float) -> Search:
    """Return the distribution of ``10 ** U(low, high)``."""
    return Search(low, high, logarithmic=True)


def one_minus_log_uniform(low: float, high: float) -> Search:
    """Return the distribution of ``1 - 10 ** U(low, high)``, for weights that come near 1."""
    return Search(low, high, logarithmic=True, from_one=True)


def uniform(low: float, high: float) -> Search:
    """Return the uniform distribution on ``[low, high]``."""
    return Search(low, high, logarithmic=False)


def hyper(
    default: Any,
    help: str,
    *,
    search: Search | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Any:
    """Declare a hyper-parameter: its default, what it is, how it is searched and the values it may take.

    Float fields are batched over trials, so inside a method they may be tensors; fields of any other type are fixed
    within a batch and may steer Python control flow.
    """
    return field(default=default, metadata={"help": help, "search": search, "low": low, "high": high})


def label(plugin: Any, letters: str = "", of: tuple[str, ...] = ()) -> str:
    """Return a plugin's id, letters that stand for the fields ``of``, and the other fields that are not the default."""
    fields = [f for f in dataclasses.fields(plugin) if f.name not in of]
    values = {f.name: getattr(plugin, f.name) for f in fields if getattr(plugin, f.name) != f.default}
    shown = [f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}" for name, value in values.items()]
    return " ".join([type(plugin).__module__.rpartition(".")[2], *([letters] if letters else []), *shown])
