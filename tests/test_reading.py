"""Shards that several processes read: as if one had."""

import os

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irmbench.errors import UserError
from irmbench.runs import reading
from irmbench.runs.columns import rows
from irmbench.runs.shards import Part
from irmbench.runs.store import SCHEMA

EXTRAS = ['"x": 1', '"x": 0.5', '"x": "a"', '"made_by": {"code": "a"}', '"x": null', '"x": true', '"x": [1]', '"y": 7']
lines = st.lists(st.one_of(st.text("ab", max_size=3), st.integers(0, 9)), max_size=12)


def make_shards(folder, contents):
    """Write shards, of a record for each integer and a line that is none for each text; the last line may be torn."""
    shards = [folder / f"{i}.jsonl" for i in range(len(contents))]
    for shard, content in zip(shards, contents, strict=True):
        shard.write_text("\n".join(line(place, value) for place, value in enumerate(content)))
    return shards


def line(place, value):
    if isinstance(value, str):
        return value
    kinds = [
        '"x": 1',
        '"x": 0.5',
        '"x": "a"',
        '"made_by": {"code": "a"}',
        '"x": null',
        '"x": true',
        '"x": [1.5]',
        '"y": 7',
    ]
    extra = kinds[value % len(kinds)]
    return f'{{"trial_id": "{place}", "finished": "0", "status": "ok", "schema": {SCHEMA}, {extra}}}'


def sizes(shards):
    return [shard.stat().st_size for shard in shards]


@given(st.lists(lines, min_size=1, max_size=3), st.integers(1, 7))
def test_shares_hold_every_line_once(tmp_path_factory, contents, count):
    shards = make_shards(tmp_path_factory.mktemp("run"), contents)
    whole = rows(map(Part, shards))
    found = reading.joined(map(rows, reading.shares(shards, sizes(shards), count)))
    assert list(found.frame.dtypes.items()) == list(whole.frame.dtypes.items())
    for name in found.frame:
        # Among values of several types one that is missing may be None here and NaN there.
        assert without_nulls(found.frame[name]) == without_nulls(whole.frame[name])
    assert found.damage == whole.damage


def without_nulls(column):
    return [value if isinstance(value, list) or not pd.isna(value) else None for value in column]


@pytest.fixture
def large_shards(tmp_path, monkeypatch):
    """Shards that are read by two processes."""
    shards = make_shards(tmp_path, [range(9), ["torn"], range(4)])
    monkeypatch.setattr("irmbench.runs.reading.LARGE", sum(sizes(shards)) // 2)
    monkeypatch.setattr("irmbench.runs.reading.cores", lambda: 2)
    return shards


def test_two_processes_read_what_one_does(large_shards):
    found, whole = reading.records(large_shards), rows(map(Part, large_shards))
    pd.testing.assert_frame_equal(found.frame, whole.frame)
    assert found.damage == whole.damage
    one = [found.are_from(lambda name, of=shard: name == of.stem).sum() for shard in large_shards]
    assert one == [9, 0, 4]


def test_what_a_process_refuses_is_told(large_shards):
    large_shards[2].write_text(line(0, 1).replace(f'"schema": {SCHEMA}', '"schema": 999'))
    with pytest.raises(UserError, match=r"2\.jsonl: written by a newer irmbench"):
        reading.records(large_shards)


def test_a_process_that_is_killed_is_told(large_shards, monkeypatch):
    monkeypatch.setattr("irmbench.runs.reading.rows", lambda parts: os._exit(9))
    with pytest.raises(UserError, match="a process that read it was killed"):
        reading.records(large_shards)
