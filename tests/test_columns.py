"""Records as a table: as pandas reads them, from whatever the shards hold."""

import msgspec
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irmbench.runs.columns import rows
from irmbench.runs.shards import Part
from irmbench.runs.store import SCHEMA, Store

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
)
values = st.one_of(scalars, st.lists(scalars, max_size=3), st.dictionaries(st.text("ab", max_size=2), scalars))
contents = st.lists(st.dictionaries(st.sampled_from(["x", "y", "truth", "a b", "class", "é"]), values), max_size=8)


def as_records(of):
    return [
        {"schema": SCHEMA, "trial_id": f"{i}", "status": "ok", "finished": f"{i:09}", **more}
        for i, more in enumerate(of)
    ]


def table(folder, records, shards=1):
    store = Store(folder)
    store.create()
    for shard in range(shards):
        store.writer().write(records[shard::shards])
    return rows(map(Part, store.shards()))


def same(found, expected):
    expected = pd.DataFrame(expected).set_index("trial_id").sort_index()
    pd.testing.assert_frame_equal(found.set_index("trial_id").sort_index()[expected.columns], expected)


@given(contents)
def test_any_records_are_read_back_in_their_order(tmp_path_factory, of):
    written = as_records(of)
    store = Store(tmp_path_factory.mktemp("run"))
    store.create()
    store.writer().write(written)
    assert list(store.records().values()) == written
    frame = rows(map(Part, store.shards())).frame
    for row, record in zip(frame.to_dict("records"), written, strict=True):
        for key, value in record.items():
            assert row[key] == value or pd.isna(row[key]) == (value is None)


@pytest.mark.parametrize(
    "column",
    [
        *([1.5, 2.5], [1, 2], [1, 2.5], ["a", "b", "a"], [True, False], [None, 1], [None, None], ["a", None]),
        *([{"k": 1}, {}], [[1.0], [2.0]], [1, "a"], [True, 1], ["a", [1]], [{"k": 1}, [1]], [2**70, 1]),
    ],
    ids=repr,
)
@pytest.mark.parametrize("missing", ["nowhere", "first", "last"])
def test_a_column_is_what_pandas_makes_of_it(tmp_path, column, missing):
    of = [{"x": value} for value in column]
    written = as_records([{}, *of] if missing == "first" else [*of, {}] if missing == "last" else of)
    same(table(tmp_path, written).frame, written)


def test_fields_and_types_that_come_late_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("irmbench.runs.shards.BLOCK", 200)
    of = (
        [{"x": 1, "y": "a"}] * 5 + [{"x": 0.5, "y": "b", "z": [1]}] * 5 + [{"x": None, "y": 3, "made_by": {"k": 1}}] * 5
    )
    written = as_records(of)
    same(table(tmp_path, written).frame, pd.DataFrame(written).to_dict("list"))


def test_equal_parameters_are_one_object(tmp_path):
    found = table(tmp_path, as_records([{"made_by": {"code": "a"}, "truth": [1.0, 0.0]}] * 3)).frame
    assert len({id(value) for value in found["made_by"]}) == len({id(value) for value in found["truth"]}) == 1


def test_every_record_names_its_shard(tmp_path):
    records = as_records([{}] * 5)
    found = table(tmp_path, records, shards=2)
    first, _ = sorted((tmp_path / "records").iterdir())
    of = dict(zip(found.frame["trial_id"], found.are_from(lambda name: name == first.stem), strict=True))
    assert of["0"] == of["2"] == of["4"] != of["1"] == of["3"]


def test_lines_that_are_no_records_leave_no_column(tmp_path):
    found = table(tmp_path, as_records([{"x": 1}]))
    (shard,) = (tmp_path / "records").glob("*.jsonl")
    shard.write_bytes(b'{"a": 1}\n' + shard.read_bytes() + msgspec.json.encode({"event": "start", "trials": ["b"]}))
    found = rows([Part(shard)])
    assert "a" not in found.frame
    assert "event" not in found.frame
    assert found.damage.garbage == {shard: 1}
