"""Shards: files of JSON lines, each appended to by one writer and read by anyone at any time.

A line is the record of a trial, or an event: ``{"event": "start" or "death", "trials": [...], "at": ..., "by": ...}``.
"""

from __future__ import annotations

import os
import socket
import sys
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from irmbench.errors import UserError, writing

Record = dict[str, Any]
SCHEMA = 1
BLOCK = 2**17  # bytes read together: what is made of them stays in the processor's cache
WRONG = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # what decoding raises on what is no line


class Line(msgspec.Struct, gc=False):
    """What every line may say: a record whose, when and what, an event its name and trials."""

    trial_id: str = ""
    finished: str = ""
    status: str = ""
    schema: int = 0
    event: str = ""
    trials: list[str] = []
    at: str = ""
    by: str = ""
    reason: str = ""


AnyLine = TypeVar("AnyLine", bound=Line)


class Part(NamedTuple):
    """The lines of a shard that begin between two of its bytes."""

    shard: Path
    start: int = 0
    stop: int = sys.maxsize


@dataclass
class Damage:
    """How many lines are neither record nor event, by shard: ``torn`` ones at its end, ``garbage`` elsewhere."""

    torn: Counter[Path] = field(default_factory=Counter)
    garbage: Counter[Path] = field(default_factory=Counter)

    def __str__(self) -> str:
        """Say in one line how many there are, and where."""
        said = [
            f"{sum(counts.values()):,} {what} passed over, in {', '.join(shard.name for shard in sorted(counts))}"
            for what, counts in (
                ("torn last lines (of writers that still write or were killed, or of a full disk)", self.torn),
                ("lines that are no records", self.garbage),
            )
            if counts
        ]
        return "; ".join(said)


class Parser(Generic[AnyLine]):
    """Makes lines of bytes; fast where all are whole."""

    def __init__(self, of: type[AnyLine]) -> None:
        self.decoder = msgspec.json.Decoder(of)

    def parse(self, block: bytes) -> tuple[list[AnyLine], list[AnyLine], int]:
        """Return the records of a block of lines, its events, and how many lines are neither."""
        wrong = 0
        try:
            if not block.isascii():
                block.decode()  # what is passed over, or decoded later, is not looked at otherwise
            lines = self.decoder.decode_lines(block)
        except WRONG:
            texts = [text for text in block.split(b"\n") if text.strip()]
            self.learn(texts)
            lines = [line for text in texts if (line := self._parse_one(text)) is not None]
            wrong = len(texts) - len(lines)
        records = [line for line in lines if line.trial_id and line.finished and line.status]
        if len(records) == len(lines):
            return records, [], wrong
        events = [line for line in lines if line.event]
        return records, events, wrong + len(lines) - len(records) - len(events)

    def learn(self, texts: list[bytes]) -> None:
        """Prepare for lines of which one was not decoded."""

    def _parse_one(self, text: bytes) -> AnyLine | None:
        """Return what one line says, or None where it is no line."""
        with suppress(*WRONG):
            text.decode()
            return self.decoder.decode(text)
        return None


def read(
    parts: Iterable[Part], parser: Parser[AnyLine], damage: Damage | None = None
) -> Iterator[tuple[Path, list[AnyLine], list[AnyLine]]]:
    """Yield shards with records and events that are in them, block by block; UserError on those of a newer schema."""
    damage = damage or Damage()
    for part in parts:
        shard = part.shard
        for block in _blocks(part):
            records, events, wrong = parser.parse(block)
            if wrong:
                (damage.garbage if block.endswith(b"\n") else damage.torn)[shard] += wrong
            newest = max(map(attrgetter("schema"), records), default=0)
            if newest > SCHEMA:
                raise UserError(f"{shard}: written by a newer irmbench (record schema {newest}); upgrade")
            yield shard, records, events


def _blocks(part: Part) -> Iterator[bytes]:
    """Yield a part's whole lines, many at a time, and then what follows its shard's last line break."""
    with reading(part.shard), part.shard.open("rb") as file:
        if part.start:
            file.seek(part.start - 1)
            file.readline()  # it began before
        while block := file.read(min(BLOCK, max(0, part.stop - file.tell()))):
            if not block.endswith(b"\n"):
                block += file.readline()
            end = block.rfind(b"\n") + 1
            if end:
                yield block[:end]
            if end < len(block):
                yield block[end:]
                return  # what follows now is the rest of a line that is being written


@contextmanager
def reading(shard: Path) -> Iterator[None]:
    """Turn an OSError into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{shard}: cannot be read: {error.strerror}") from error


class Writer:
    """Appends to a file of its own, whole lines at a time."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self._folder, self._prefix = folder, prefix
        self._by = f"process {os.getpid()} on {socket.gethostname()}"
        self._path = self._new_path()

    def write(self, records: Iterable[Record]) -> None:
        """Append the records of finished trials, and see them to the disk."""
        self._append(records, durable=True)

    def start(self, trial_ids: list[str]) -> None:
        """Say that trials are being run; nothing is lost where a crash loses this."""
        self._append([self._event("start", trial_ids)], durable=False)

    def death(self, trial_ids: list[str], reason: str) -> None:
        """Say that the process which ran trials died, and of what as far as that is known."""
        self._append([self._event("death", trial_ids) | {"reason": reason}], durable=True)

    def _event(self, name: str, trial_ids: list[str]) -> Record:
        return {"event": name, "trials": trial_ids, "at": datetime.now(UTC).isoformat(), "by": self._by}

    def _append(self, content: Iterable[Record], durable: bool) -> None:
        lines = memoryview(b"".join(msgspec.json.encode(line) + b"\n" for line in content))
        try:
            with (
                writing(self._path, then="what is done so far is kept, run again to resume"),
                self._path.open("ab", buffering=0) as file,
            ):
                while lines:  # one call but on a disk that is full, where the next one says so
                    lines = lines[file.write(lines) :]
                if durable:
                    os.fsync(file.fileno())
        except BaseException:
            self._path = self._new_path()  # this one may end in half a line
            raise

    def _new_path(self) -> Path:
        return self._folder / f"{self._prefix}-{uuid.uuid4().hex[:8]}.jsonl"
