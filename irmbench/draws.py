"""Hyper-parameter draws: a method and a solver as given, and with what is searched drawn at random or from a list."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator

from msgspec import Struct, structs

from irmbench import fields
from irmbench.errors import UserError, suggest
from irmbench.fields import FIRST_SEED
from irmbench.interface import Loss, Method, Search, Solver, stream
from irmbench.parameters import Table, checked, instances, split

SOLVERS = ("official", "converged", "population")
LARGEST = 300.0  # bound of a range: 10 to its power is still a number
SEARCHED_SOLVER = {f.name for f in dataclasses.fields(Solver)}


class Distribution(Struct, forbid_unknown_fields=True):
    """What random draws of a hyper-parameter come from: one of the three, each by its two bounds."""

    uniform: tuple[float, float] | None = None
    log_uniform: tuple[float, float] | None = None
    one_minus_log_uniform: tuple[float, float] | None = None

    @property
    def search(self) -> Search:
        """The distribution; UserError unless there is one."""
        given = [(kind, bounds) for kind, bounds in structs.asdict(self).items() if bounds is not None]
        if len(given) != 1:
            raise UserError(f"expected one of {', '.join(self.__struct_fields__)}, got {len(given)} of them")
        ((kind, bounds),) = given
        if not -LARGEST <= bounds[0] < bounds[1] <= LARGEST:
            raise UserError(
                f"{kind}: expected a lower and a higher bound, exponents of 10 if logarithmic, got {bounds}"
            )
        found: Search = getattr(fields, kind)(*bounds)
        return found


Searched = dict[str, Distribution | list[float]]


@dataclasses.dataclass(frozen=True)
class Drawn:
    """One draw of one method, with what it changes of the solver."""

    id: str
    method: Method
    draw: int
    of_solver: dict[str, float]

    def solver(self, entry: str | Table, loss: Loss) -> Solver:
        """Return the solver of a suite's entry for this draw."""
        base = solver_of(self.method, entry, loss)
        if not self.of_solver:
            return base
        changed: Solver = checked(Solver, "solver", dataclasses.asdict(base) | self.of_solver)
        return changed


def drawn(entry: str | Table, draws: int, search: Searched) -> Iterator[Drawn]:
    """Yield a method's instances: draw 0 as given, then draws of what is searched.

    Searched is what ``search`` names, drawn in its order from one generator, and beyond that what a method has a range
    of its own for and the entry leaves open, each from a stream of its own. From a list each draw takes its value, draw
    0 too.
    """
    name, given = split(entry)
    for method in instances("methods", entry):
        known = {f.name for f in dataclasses.fields(method)}
        ranges = {f.name: found for f in dataclasses.fields(method) if (found := f.metadata.get("search"))}
        open_ranges = {key: found for key, found in ranges.items() if key not in given and key not in search}
        for draw in range(draws):
            values = _searched(search, draw)
            if draw:
                values |= {key: how.draw(stream(f"draw {name} {key}", draw)) for key, how in open_ranges.items()}
            if draw and not values:
                break  # there is nothing to draw
            of_method = {key: value for key, value in values.items() if key in known}
            of_solver = {key: value for key, value in values.items() if key in SEARCHED_SOLVER - known}
            changed = checked(type(method), name, dataclasses.asdict(method) | of_method) if of_method else method
            yield Drawn(name, changed, draw, of_solver)


def check_search(search: Searched, methods: list[type[Method]], draws: int) -> None:
    """Raise UserError on a search that does not fit the methods or the number of draws."""
    known = {f.name for cls in (*methods, Solver) for f in dataclasses.fields(cls)}
    for key, how in search.items():
        if key not in known:
            raise UserError(f"search: no method here, and no solver, has a parameter {key!r}.{suggest(key, known)}")
        if isinstance(how, list) and len(how) != draws:
            raise UserError(f"search.{key}: a list needs a value for each of the {draws} draws, got {len(how)}")
        if not isinstance(how, list):
            if draws < 2:
                raise UserError(f"search.{key}: a range needs `draws` of 2 or more in the experiment")
            try:
                how.search  # noqa: B018
            except UserError as error:
                raise UserError(f"search.{key}: {error}") from error


def _searched(search: Searched, draw: int) -> dict[str, float]:
    """Return a draw's values of what a suite searches; of draw 0 those that are listed."""
    rng = random.Random(FIRST_SEED + draw)
    listed = {key: how[draw] for key, how in search.items() if isinstance(how, list)}
    drawn = {key: how.search.draw(rng) for key, how in search.items() if not isinstance(how, list)} if draw else {}
    return listed | drawn


def solver_of(method: Method, entry: str | Table, loss: Loss) -> Solver:
    """Return the solver that a suite's entry names for a method under a loss, with the changes it gives."""
    from irmbench.engine.solve import resolve_solver  # it imports the solvers, which listing suites does not need

    given = {"name": entry} if isinstance(entry, str) else dict(entry)
    name = given.pop("name", None)
    if name not in SOLVERS:
        raise UserError(
            f"solvers: expected a name among {', '.join(SOLVERS)}, got {name!r}.{suggest(str(name), SOLVERS)}"
        )
    defaults = resolve_solver(method, name, loss)
    changes = {key: getattr(checked(Solver, "solver", given), key) for key in given}
    return dataclasses.replace(defaults, **changes)
