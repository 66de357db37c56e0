"""The store: nothing done is lost, and what a crash leaves does no harm."""

import os
import threading

import msgspec
import pytest

from irmbench.errors import UserError
from irmbench.store import SCHEMA, Store


@pytest.fixture
def store(tmp_path):
    """An empty store."""
    found = Store(tmp_path / "run")
    found.create()
    return found


def record(trial_id, second=0, **more):
    finished = f"2026-01-01T00:00:{second:02}+00:00"
    return {"schema": SCHEMA, "trial_id": trial_id, "status": "ok", "finished": finished, **more}


def shards(store):
    return sorted((store.folder / "records").glob("*.jsonl"))


def test_what_is_written_is_read_back(store):
    written = record("a", coefficients=[0.1, 1e-300, -2.0], nested={"x": [1, "y", None, True]}, text='line\n"quoted" Ü')
    store.writer().write([written])
    assert store.records() == {"a": written}


def test_floats_survive_to_the_last_bit(store):
    numbers = [0.1 + 0.2, 1 / 3, 2**-1074, 1.7976931348623157e308]
    store.writer().write([record("a", coefficients=numbers)])
    assert store.records()["a"]["coefficients"] == numbers


def test_every_writer_has_a_file_of_its_own(store):
    for name in "ab":
        store.writer().write([record(name)])
    assert len(shards(store)) == 2
    assert set(store.records()) == {"a", "b"}


def test_a_writer_appends(store):
    writer = store.writer()
    for name in "abc":
        writer.write([record(name)])
    assert len(shards(store)) == 1
    assert set(store.records()) == {"a", "b", "c"}


def test_a_run_that_was_not_yet_written_to_is_empty(store):
    assert store.records() == {}


def test_a_torn_last_line_is_passed_over(store):
    store.writer().write([record("a"), record("b")])
    (shard,) = shards(store)
    shard.write_bytes(shard.read_bytes()[:-10])
    assert set(store.records()) == {"a"}


@pytest.mark.parametrize(
    "garbage", [b"", b"5", b"null", b'{"a": 1}', b"\x00" * 64, b"\xff\xfe", b"{", b'{"trial_id": "b", "sta'], ids=repr
)
def test_a_line_that_is_no_record_is_passed_over(store, garbage):
    store.writer().write([record("a")])
    (shard,) = shards(store)
    shard.write_bytes(garbage + b"\n" + shard.read_bytes() + garbage)
    assert set(store.records()) == {"a"}


def test_the_later_record_of_a_trial_wins_in_one_file(store):
    store.writer().write([record("a", 1, status="failed"), record("a", 2)])
    assert store.records()["a"]["status"] == "ok"


def test_the_later_record_of_a_trial_wins_in_whatever_file_it_is(store):
    for second in (1, 3, 2):
        store.writer().write([record("a", second)])
    assert store.records()["a"] == record("a", 3)


def test_of_two_records_of_one_instant_the_last_line_wins(store):
    store.writer().write([record("a", 1, status="failed"), record("a", 1)])
    assert store.records()["a"]["status"] == "ok"


def test_writers_in_parallel_lose_nothing(store):
    def write(name):
        writer = store.writer()
        for i in range(20):
            writer.write([record(f"{name}{i}")])

    threads = [threading.Thread(target=write, args=[name]) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.records()) == 80


def test_a_record_of_a_newer_schema_is_refused_with_its_file(store):
    store.writer().write([record("a") | {"schema": SCHEMA + 1}])
    with pytest.raises(UserError, match="newer irmbench") as caught:
        store.records()
    assert str(shards(store)[0]) in str(caught.value)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no run") as caught:
        Store(tmp_path).records()
    assert str(tmp_path) in str(caught.value)


def test_clearing_deletes_the_records_and_nothing_else(store):
    store.writer().write([record("a")])
    kept = [store.folder / "run.json", store.folder / "records" / "notes.txt"]
    for file in kept:
        file.write_text("mine")
    store.clear()
    assert store.records() == {}
    assert all(file.read_text() == "mine" for file in kept)


def test_creating_a_store_twice_keeps_its_records(store):
    store.writer().write([record("a")])
    store.create()
    assert set(store.records()) == {"a"}


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written to") as caught:
        Store(tmp_path / "file" / "run").create()
    assert str(tmp_path / "file" / "run") in str(caught.value)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written to"):
        Store(tmp_path / "file").create()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_is_refused(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(UserError, match="cannot be written to"):
        Store(tmp_path / "run").create()


def test_a_record_that_cannot_be_written_says_that_the_rest_is_kept(store):
    writer = store.writer()
    (store.folder / "records").rename(store.folder / "gone")
    with pytest.raises(UserError, match="what is done so far is kept, run again to resume"):
        writer.write([record("a")])


def test_a_full_disk_is_no_success(store):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))  # the system then writes a part, and says how much
    try:
        with pytest.raises(UserError, match="cannot be written"):
            store.writer().write([record("a", text="x" * 1000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_line_is_one_json_object(store):
    store.writer().write([record("a"), record("b", text="two\nlines")])
    lines = shards(store)[0].read_bytes().splitlines()
    assert [msgspec.json.decode(line)["trial_id"] for line in lines] == ["a", "b"]


def test_deaths_are_counted_by_trial(store):
    store.writer().death(["a", "b"], "killed by signal 9")
    store.writer().death(["b"], "killed by signal 11")
    assert store.deaths() == {"a": 1, "b": 2}


def test_starts_and_deaths_are_no_records(store):
    writer = store.writer()
    writer.start(["a"])
    writer.death(["a"], "killed by signal 9")
    assert store.records() == {}
