"""The store of a run: append-only JSON lines, one writer a file, so that nothing done is ever lost or rewritten.

DIR/run.json           what was asked for, and by which versions on which machine
DIR/planned.json       the ids of the trials that were asked for last
DIR/records/*.jsonl    one line per finished trial; a later line of the same trial replaces an earlier one
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from irmbench.errors import UserError, writing

Record = dict[str, Any]
SCHEMA = 1


class Store:
    """The records of one run's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shards = folder / "records"

    def create(self) -> None:
        """Make the folder, or say in one line why it cannot be made."""
        try:
            self._shards.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be written to: {error.strerror}") from error

    def clear(self) -> None:
        """Delete the records, and nothing else."""
        for shard in self._shards.glob("*.jsonl"):
            shard.unlink()

    def records(self) -> dict[str, Record]:
        """Return the last record of every trial by its id; torn lines, as a crash leaves them, are passed over."""
        if not self._shards.is_dir():
            raise UserError(f"{self.folder}: holds no run (expected a folder `records` in it)")
        found: dict[str, Record] = {}
        for record in self._lines():
            known = found.get(record["trial_id"])
            if known is None or known["finished"] <= record["finished"]:
                found[record["trial_id"]] = record
        return found

    def _lines(self) -> Iterator[Record]:
        for shard in sorted(self._shards.glob("*.jsonl")):
            for line in _content(shard).splitlines():
                try:
                    record = msgspec.json.decode(line)
                except (msgspec.DecodeError, RecursionError):
                    continue
                if not isinstance(record, dict):
                    continue
                known = [record.get(name) for name in ("trial_id", "finished", "status")]
                if not all(isinstance(value, str) for value in known) or not isinstance(record.get("schema", 0), int):
                    continue
                if record.get("schema", 0) > SCHEMA:
                    raise UserError(f"{shard}: written by a newer irmbench (record schema {record['schema']}); upgrade")
                yield record

    def writer(self) -> Writer:
        """Return a writer with a file of its own."""
        return Writer(self._shards / f"{uuid.uuid4().hex[:12]}.jsonl")


def _content(shard: Path) -> bytes:
    try:
        return shard.read_bytes()
    except OSError as error:
        raise UserError(f"{shard}: cannot be read: {error.strerror}") from error


class Writer:
    """Appends records to one file, whole lines at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, records: Iterable[Record]) -> None:
        """Append records and see them to the disk."""
        lines = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
        with (
            writing(self._path, then="what is done so far is kept, run again to resume"),
            self._path.open("ab") as file,
        ):
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
