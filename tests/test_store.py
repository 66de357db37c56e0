"""The store: nothing done is lost, and what a crash leaves does no harm."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irmbench.errors import UserError
from irmbench.runs.shards import Damage, Line, Parser, Part, read
from irmbench.runs.store import SCHEMA, Store, write_whole

ROOT = Path(__file__).resolve().parents[1]
STEADY_WRITER = """
import sys
from pathlib import Path
from irmbench.runs.store import Store

store = Store(Path(sys.argv[1]))
store.create()
with store.lock():
    known = store.heads()
    missing = [name for name in map(str, range(int(sys.argv[2]))) if name not in known]
    writer = store.writer()
    for i in range(0, len(missing), 3):
        names = missing[i : i + 3]
        writer.start(names)
        writer.write(
            {"schema": 1, "trial_id": name, "status": "ok", "finished": "2026", "text": "x" * 3000} for name in names
        )
        print(*names, flush=True)
"""


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


def test_a_death_says_when_and_of_what(store):
    store.writer().death(["a"], "killed by signal 9")
    (line,) = shards(store)[0].read_bytes().splitlines()
    found = msgspec.json.decode(line)
    assert found["reason"] == "killed by signal 9"
    assert {"event", "trials", "at", "by"} <= found.keys()


def damage(store):
    found = Damage()
    for _ in read(map(Part, store.shards()), Parser(Line), found):
        pass
    return found


def test_the_rest_of_a_line_that_is_being_written_is_no_garbage(store):
    store.writer().write([record("a"), record("b")])
    (shard,) = shards(store)
    whole, found = shard.read_bytes(), Damage()
    shard.write_bytes(whole[:-20])
    for _, records, _ in read([Part(shard)], Parser(Line), found):
        if not records:
            shard.write_bytes(whole)
    assert found == Damage(torn=Counter({shard: 1}))
    assert set(store.records()) == {"a", "b"}


def test_a_torn_last_line_is_told_from_garbage(store):
    store.writer().write([record("a"), record("b")])
    (shard,) = shards(store)
    shard.write_bytes(b"garbage\n\x00\x00\n" + shard.read_bytes()[:-10])
    assert damage(store) == Damage(torn=Counter({shard: 1}), garbage=Counter({shard: 2}))
    said = str(damage(store))
    assert "1 torn last lines" in said
    assert "2 lines that are no records" in said
    assert shard.name in said


def test_whole_shards_are_not_damaged(store):
    writer = store.writer()
    writer.start(["a"])
    writer.write([record("a", text="Ü")])
    assert damage(store) == Damage()
    assert not str(damage(store))


def test_a_whole_line_without_its_line_break_is_kept(store):
    store.writer().write([record("a")])
    (shard,) = shards(store)
    shard.write_bytes(shard.read_bytes()[:-1])
    assert set(store.records()) == set(store.heads()) == {"a"}


texts = st.text(st.characters(codec="utf-8"), max_size=20)
lines = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["record", "start", "death"]), texts), max_size=12)


@given(lines, st.integers(2, 400))
def test_events_and_records_in_any_order_in_any_shards_are_told_apart(tmp_path_factory, lines, block):
    store = Store(tmp_path_factory.mktemp("run"))
    store.create()
    writers = [store.writer(), store.writer()]
    for i, (name, kind, text) in enumerate(lines):
        writer = writers[len(text) % 2]
        if kind == "record":
            writer.write([record(name, i, text=text)])
        else:
            writer.start([name]) if kind == "start" else writer.death([name, "z"], text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("irmbench.runs.shards.BLOCK", block)
        expected = {name: record(name, i, text=text) for i, (name, kind, text) in enumerate(lines) if kind == "record"}
        assert store.records() == expected
        dead = [name for name, kind, _ in lines if kind == "death"]
        assert store.deaths() == Counter(dead) + Counter(z=len(dead))
        assert not str(damage(store))


@given(st.lists(texts, min_size=1, max_size=6), st.data())
def test_of_a_shard_cut_anywhere_every_whole_line_survives(tmp_path_factory, written, data):
    store = Store(tmp_path_factory.mktemp("run"))
    store.create()
    store.writer().write([record(str(i), i, text=text) for i, text in enumerate(written)])
    (shard,) = shards(store)
    content = shard.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    shard.write_bytes(content[:cut])
    whole = content[: cut + 1].count(b"\n")  # the last line is whole without its line break too
    assert list(store.records()) == list(store.heads()) == [str(i) for i in range(whole)]
    store.writer().write([record("next", 59)])
    assert len(store.records()) == whole + 1


@settings(max_examples=50)
@given(st.binary(max_size=300), st.integers(0, 3))
def test_garbage_between_lines_costs_no_line(tmp_path_factory, garbage, at):
    store = Store(tmp_path_factory.mktemp("run"))
    store.create()
    store.writer().write([record(name) for name in "abc"])
    (shard,) = shards(store)
    content = shard.read_bytes().splitlines(keepends=True)
    shard.write_bytes(b"".join([*content[:at], garbage + b"\n", *content[at:]]))
    assert set(store.records()) == set(store.heads()) == set("abc")


def start_writer(folder, count):
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", STEADY_WRITER, str(folder), str(count)]
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_writer_killed_at_random_instants_loses_nothing_and_doubles_nothing(tmp_path):
    chance, acknowledged, kills = random.Random(0), [], 0
    for delay in [chance.uniform(0, 0.1) for _ in range(8)] + [60]:
        process = start_writer(tmp_path, 3000)
        begun = process.stdout.readline()  # so that it dies while it writes, not while it starts
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            kills += 1
        out, err = process.communicate()
        assert not err
        acknowledged += (begun + out.rpartition("\n")[0]).split()
    written = Counter(
        r.trial_id for _, records, _ in read(map(Part, Store(tmp_path).shards()), Parser(Line)) for r in records
    )
    assert kills >= 3
    assert set(written) == set(map(str, range(3000)))
    assert set(written.values()) == {1}
    assert set(acknowledged) <= set(written)
    assert not damage(Store(tmp_path)).garbage


def test_a_second_run_in_a_folder_is_refused_and_says_by_whom(store):
    with store.lock(), pytest.raises(UserError, match=rf"process {os.getpid()} .* is running in it"), store.lock():
        pass


def test_a_lock_is_let_go_of_at_its_end(store):
    for _ in range(2):
        with store.lock():
            assert (store.folder / ".lock").exists()
        assert not (store.folder / ".lock").exists()


def test_a_lock_is_let_go_of_by_a_process_that_is_killed(tmp_path):
    process = start_writer(tmp_path, 10**5)
    process.stdout.readline()
    with pytest.raises(UserError, match=f"process {process.pid}"), Store(tmp_path).lock():
        pass
    process.kill()
    process.communicate()
    with Store(tmp_path).lock():
        assert Store(tmp_path).heads()


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "run.json"
    write_whole(file, b"before")

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        write_whole(file, b"after")
    assert file.read_bytes() == b"before"


def test_after_a_failed_write_a_writer_goes_on_in_another_shard(store, monkeypatch):
    def cut(file):
        os.truncate(file, os.fstat(file).st_size - 5)
        raise OSError(5, "Input/output error")

    writer = store.writer()
    writer.write([record("a")])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", cut)
        with pytest.raises(UserError, match="cannot be written"):
            writer.write([record("b")])
    writer.write([record("c")])
    assert set(store.records()) == {"a", "c"}
    assert not damage(store).garbage


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 KiB, where one may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root may mount a disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_keeps_what_is_done_and_the_store_resumes(small_disk):
    store = Store(small_disk / "run")
    store.create()
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 32_000)
    writer, done = store.writer(), []

    def write(name):
        writer.write([record(name, text="x" * 3000)])
        done.append(name)

    with pytest.raises(UserError, match="No space left on device; what is done so far is kept, run again to resume"):
        list(map(write, map(str, range(100))))
    assert list(store.records()) == done
    filler.unlink()
    missing = [str(i) for i in range(15) if str(i) not in store.heads()]
    store.writer().write([record(name) for name in missing])
    assert len(done) > 3
    assert set(store.records()) == set(map(str, range(15))) | set(done)


def test_a_full_disk_refuses_a_run_in_one_line(small_disk):
    store = Store(small_disk / "run")
    store.create()
    with (small_disk / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    with pytest.raises(UserError, match="No space left on device"), store.lock():
        pass
