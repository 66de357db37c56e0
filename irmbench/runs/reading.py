"""Shards as one table: several processes read them where there is much to read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import BrokenExecutor
from itertools import accumulate, pairwise
from pathlib import Path

import pandas as pd

from irmbench.errors import UserError
from irmbench.runs.columns import MISSING, Rows, rows
from irmbench.runs.processes import cores, end_with, uninterrupted
from irmbench.runs.shards import Damage, Part, reading

LARGE = 2**27  # bytes whose reading takes longer than another process to start


def records(shards: Sequence[Path]) -> Rows:
    """Return the records of shards."""
    sizes = [_size(shard) for shard in shards]
    processes = min(cores(), sum(sizes) // LARGE)
    if processes < 2:
        return rows(map(Part, shards))
    from loky import ProcessPoolExecutor  # slow to import

    pool = ProcessPoolExecutor(processes, initializer=end_with, initargs=(os.getpid(),))
    try:
        with uninterrupted():  # what it starts now
            parts = pool.map(rows, shares(shards, sizes, processes))
        return joined(parts)
    except BrokenExecutor as error:
        raise UserError(f"{shards[0].parent}: a process that read it was killed; is memory short?") from error
    finally:
        pool.shutdown(kill_workers=True)  # which after an error or an interrupt would read on


def shares(shards: Sequence[Path], sizes: Sequence[int], count: int) -> list[list[Part]]:
    """Return the shards, of so many bytes each, as shares of one size in their order."""
    ends = list(accumulate(sizes))
    cuts = [ends[-1] * i // count for i in range(count + 1)]
    return [
        [
            Part(shard, max(0, low - end + size), min(size, high - end + size))
            for shard, size, end in zip(shards, sizes, ends, strict=True)
            if low < end and end - size < high
        ]
        for low, high in pairwise(cuts)
    ]


def joined(parts: Iterable[Rows]) -> Rows:
    """Return the records of all parts, in their order."""
    frames, origins, damage = [], [], Damage()
    for part in parts:
        frames += [part.frame] if len(part.frame) else []
        origins += part.origins
        damage.torn += part.damage.torn
        damage.garbage += part.damage.garbage
    names = dict.fromkeys(str(name) for frame in frames for name in frame)
    return Rows(pd.DataFrame({name: _column(name, frames) for name in names}, copy=False), origins, damage)


def _column(name: str, frames: list[pd.DataFrame]) -> pd.Series:
    """Return a column of all frames, of the type that all its values have together."""
    parts = [frame[name] if name in frame else pd.Series([MISSING] * len(frame)) for frame in frames]
    if len({part.dtype for part in parts}) == 1:
        return pd.concat(parts, ignore_index=True)
    return pd.Series([value for part in parts for value in part.tolist()])


def _size(shard: Path) -> int:
    with reading(shard):
        return shard.stat().st_size
