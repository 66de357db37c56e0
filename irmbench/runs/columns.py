"""Records as a table: columns are built block by block, equal values are held once.

The decoder is told which fields there are and of which type, as learnt from the lines that it first refuses.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain, repeat
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from irmbench.runs.shards import WRONG, Damage, Line, Parser, Part, Record, read

MISSING = float("nan")  # what a record does not hold
REPEATED = ("plugins", "truth", "causal")  # lists that many records have in common
OWN = dict.fromkeys(Line.__struct_fields__) | {"trial_id": Any, "finished": Any, "status": str, "schema": int}
DEFAULTS: dict[Any, Any] = {str: "\0", msgspec.Raw: msgspec.Raw(b""), float: MISSING, int: MISSING, Any: MISSING}


class RowParser(Parser[Line]):
    """Makes rows of lines: what every line may say, then the fields of ``types``."""

    def __init__(self) -> None:
        super().__init__(Line)
        self.types: dict[str, Any] = {}
        self._objects = cache(_decoded)
        self._build()

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a row in their order, each with its type; None where a record has none."""
        return OWN | self.types

    def learn(self, texts: list[bytes]) -> None:
        """Learn the fields of records and their types; of two types, any."""
        known = dict(self.types)
        for text in texts:
            with suppress(*WRONG):
                content = msgspec.json.decode(text)
                if msgspec.convert(content, Line).trial_id:
                    self._learn(content)
        if self.types != known:
            self._build()

    def _learn(self, record: Record) -> None:
        for name, value in record.items():
            if name not in OWN:
                found = _type_of(name, value)
                self.types[name] = found if self.types.get(name, found) == found else Any

    def record(self, row: Line) -> Record:
        """Return a row as it is stored; what is repeated is one object in all records that hold it."""
        found = {}
        for (name, of), value in zip(self.fields.items(), msgspec.structs.astuple(row), strict=True):
            if of is msgspec.Raw:
                value = self._objects(bytes(value))
            if of is not None and value is not MISSING and value != DEFAULTS[str]:
                found[name] = value
        return found

    def _build(self) -> None:
        fields = [
            (f"field_{i}", of, msgspec.field(default=DEFAULTS[of], name=name))
            for i, (name, of) in enumerate(self.types.items())
        ]
        row = msgspec.defstruct("Row", fields, bases=(Line,), forbid_unknown_fields=True, gc=False)
        self.decoder = msgspec.json.Decoder(row)


class Codes(dict[Any, int]):
    """Numbers the values that are looked up, in the order of their first look-up."""

    def __missing__(self, value: Any) -> int:
        """Number a new value."""
        self[value] = code = len(self)
        return code


class Column:
    """The values of one field: codes of texts and of what is repeated, in runs; arrays of numbers; else lists."""

    def __init__(self, of: Any) -> None:
        self._of = of
        self._pieces: list[Any] = []
        self._codes, self._runs, self._lengths = Codes(), list[int](), list[int]()

    def extend(self, of: Any, values: Sequence[Any]) -> None:
        """Append values, of a type that may have become any."""
        if of != self._of:
            self._pieces, self._of = [self.values().tolist()], of
        if of in (str, msgspec.Raw):
            self._encode(of, values)
        elif of is float:
            self._pieces.append(np.fromiter(values, float, len(values)))
        else:
            self._pieces.append(np.array(values) if of is int else values)

    def _encode(self, of: Any, values: Sequence[Any]) -> None:
        if values.count(values[0]) == len(values):  # as in most jobs
            self._runs.append(self._codes[bytes(values[0]) if of is msgspec.Raw else values[0]])
            self._lengths.append(len(values))
            return
        if of is msgspec.Raw:
            values = b"\0".join(values).split(b"\0")  # bytes of all at once; JSON holds no such byte
        self._runs.extend(map(self._codes.__getitem__, values))
        self._lengths.extend(repeat(1, len(values)))

    def values(self) -> Any:
        """Return all values, as a column of a table."""
        if self._of in (str, msgspec.Raw):
            return self._known().take(np.repeat(np.array(self._runs, np.int32), self._lengths))
        if self._of in (int, float):
            return np.concatenate(self._pieces)
        return pd.Series(list(chain.from_iterable(self._pieces)))

    def _known(self) -> Any:
        """Return the values that the codes stand for."""
        if self._of is str:
            return pd.array([None if value == DEFAULTS[str] else value for value in self._codes], dtype="str")
        return np.fromiter(map(_decoded, self._codes), object, len(self._codes))


@dataclass(frozen=True)
class Rows:
    """The records of shards.

    Attributes:
        frame: a row a record, in the order of the shards, with the missing where a record has no such field.
        origins: the names of the shards, each with how many of the next rows are from it.
        damage: what is wrong with other lines.

    """

    frame: pd.DataFrame
    origins: list[tuple[str, int]]
    damage: Damage

    def are_from(self, shards: Callable[[str], bool]) -> np.ndarray:
        """Return whether every row is from one of some shards, which are told by their names."""
        names, counts = zip(*self.origins, strict=True)
        return np.repeat([shards(name) for name in names], counts)


def rows(parts: Iterable[Part]) -> Rows:
    """Return the records that are in parts of shards."""
    damage, parser, table = Damage(), RowParser(), Table()
    origins = []
    with no_collection():
        for shard, records, _ in read(parts, parser, damage):
            table.extend(parser.fields, records)
            origins.append((shard.stem, len(records)))
        return Rows(table.frame(), origins, damage)


class Table:
    """Columns of records, which are appended many at a time."""

    def __init__(self) -> None:
        self._columns: dict[str, Column] = {}
        self._rows = 0

    def extend(self, fields: dict[str, Any], records: list[Line]) -> None:
        """Append records that have such fields."""
        if not records:
            return
        values = zip(*map(msgspec.structs.astuple, records), strict=True)
        for (name, of), column in zip(fields.items(), values, strict=True):
            if of is None:
                continue
            if name not in self._columns:
                self._columns[name] = Column(of)
                if self._rows:
                    self._columns[name].extend(of, [DEFAULTS[of]] * self._rows)
            self._columns[name].extend(of, column)
        self._rows += len(records)

    def frame(self) -> pd.DataFrame:
        """Return a row a record, with the missing where a record has no such field."""
        return pd.DataFrame({name: column.values() for name, column in self._columns.items()}, copy=False)


def _type_of(name: str, value: Any) -> Any:
    """Return how values like this one are decoded."""
    if isinstance(value, dict) or name in REPEATED:
        return msgspec.Raw
    return type(value) if type(value) in (str, float, int) else Any


def _decoded(value: bytes) -> Any:
    return msgspec.json.decode(value) if value else MISSING


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep the garbage collector from looking, again and again, through millions of values that all stay."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
