"""The store of a run: append-only JSON lines, one writer a file, so that nothing done is ever lost or rewritten.

DIR/run.json           what was asked for, and by which versions on which machine
DIR/planned.json       the ids of the trials that were asked for last
DIR/records/*.jsonl    one line per finished trial; a later line of the same trial replaces an earlier one
DIR/.lock              who runs in the folder, while someone does
"""

from __future__ import annotations

import fcntl
import os
import socket
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from irmbench.errors import UserError, writing
from irmbench.runs.shards import SCHEMA, AnyLine, Line, Parser, Part, Record, Writer, read

__all__ = ["SCHEMA", "UNKNOWN", "Head", "Record", "Store", "Writer", "write_whole"]

Made = TypeVar("Made")
UNKNOWN = "unknown"  # the code that made records which do not say


class MadeBy(msgspec.Struct, gc=False):
    """By what a record was made, as far as resuming asks."""

    code: str = UNKNOWN


class Head(Line, gc=False):
    """What resuming asks of a record."""

    plugins: list[str] = msgspec.field(default_factory=list)
    given_up_within: list[float | None] | None = None  # the limits under which the trial killed its process too often
    made_by: MadeBy = msgspec.field(default_factory=MadeBy)


class Store:
    """The records of one run's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = uuid.uuid4().hex[:8]  # begins the names of the shards that this store's writers make
        self._records = folder / "records"

    def create(self) -> None:
        """Make the folder, or say in one line why it cannot be made."""
        try:
            self._records.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be written to: {error.strerror}") from error
        except ValueError as error:
            raise UserError(f"{str(self.folder)!r}: cannot name a folder: {error}") from error

    def clear(self) -> None:
        """Delete the records, and nothing else."""
        for shard in self._records.glob("*.jsonl"):
            shard.unlink()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep all others from running in this folder; the system lets go of it however the process ends."""
        path = self.folder / ".lock"
        with writing(path):
            file = path.open("a+b", buffering=0)
        with file:
            with writing(path):
                is_ours = _locked(file.fileno(), path)
            if not is_ours:
                file.seek(0)
                holder = file.read().decode(errors="replace") or "another process"
                raise UserError(f"{self.folder}: {holder} is running in it; wait for its end, or choose another --out")
            with writing(path):
                file.truncate(0)
                file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    def shards(self) -> list[Path]:
        """Return the files that hold the records; UserError where the folder holds no run."""
        if not self._records.is_dir():
            raise UserError(f"{self.folder}: holds no run (expected a folder `records` in it)")
        return sorted(self._records.glob("*.jsonl"))

    def records(self) -> dict[str, Record]:
        """Return the last record of every trial by its id; torn lines, as a crash leaves them, are passed over."""
        from irmbench.runs.columns import RowParser  # pandas: slow to import

        parser = RowParser()
        return self._last(parser, parser.record)

    def heads(self) -> dict[str, Head]:
        """Return what resuming asks of the last record of every trial, by its id."""
        return self._last(Parser(Head), lambda head: head)

    def deaths(self) -> Counter[str]:
        """Return how often the process that ran a trial died, by the trial's id."""
        events = (event for _, _, events in read(map(Part, self.shards()), Parser(Line)) for event in events)
        return Counter(trial for event in events if event.event == "death" for trial in event.trials)

    def _last(self, parser: Parser[AnyLine], made_of: Callable[[AnyLine], Made]) -> dict[str, Made]:
        found: dict[str, tuple[str, Made]] = {}
        for _, records, _ in read(map(Part, self.shards()), parser):
            for record in records:
                known = found.get(record.trial_id)
                if known is None or known[0] <= record.finished:
                    found[record.trial_id] = record.finished, made_of(record)
        return {trial_id: made for trial_id, (_, made) in found.items()}

    def writer(self) -> Writer:
        """Return a writer with a file of its own."""
        return Writer(self._records, self.run)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file such that after a crash at any instant it is there as it was, or as it is to be."""
    draft = path.with_name(f".{path.name}.new")
    with writing(path):
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)


def _locked(file: int, path: Path) -> bool:
    """Whether an open file could be locked, and is still the one of its name: whoever had it may have removed it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False
