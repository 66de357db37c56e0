"""What folders hold: merged, in the order of the plan, with what is wrong said."""

import shutil

import msgspec
import pytest

from irmbench.runs import plan, provenance
from irmbench.runs.loading import NEEDED, contents
from irmbench.runs.store import SCHEMA, Store
from irmbench.suite import parse

SUITE = parse('name = "tiny"\n[[experiments]]\ndatasets = ["irm_chain"]\nmethods = ["erm"]')
MADE_BY = {"code": "one", "torch": "2"}


def record(trial_id, second=0, **more):
    own = {
        "device": "cpu",
        "plugins": ["p"],
        "made_by": MADE_BY,
        "coefficients": [1.0, 2.0],
        **dict.fromkeys(NEEDED, "x"),
        "solved_by": "closed form",
    }
    finished = f"2026-01-01T00:00:{second:02}+00:00"
    return {"schema": SCHEMA, "trial_id": trial_id, "status": "ok", "finished": finished, **own, **more}


@pytest.fixture
def make_run(tmp_path):
    """Return the folder of a run that asked for trials, and has records."""

    def make(name, records, planned=None):
        store = Store(tmp_path / name)
        store.create()
        if planned is not None:
            plan.write(store, SUITE, planned)
        store.writer().write(records)
        return store.folder

    return make


def ids(*folders):
    return list(contents(*folders).frame["trial_id"])


def copy_shards(source, target):
    for shard in (source / "records").iterdir():
        shutil.copy(shard, target / "records")


def test_trials_are_in_the_order_of_the_plan(make_run):
    assert ids(make_run("run", map(record, "abc"), ["c", "b", "a"])) == ["c", "b", "a"]


def test_what_the_last_run_did_not_ask_for_is_left_out(make_run):
    assert ids(make_run("run", map(record, "abc"), ["b"])) == ["b"]


def test_a_folder_without_a_plan_holds_all_its_records(make_run):
    assert sorted(ids(make_run("run", map(record, "abc")))) == ["a", "b", "c"]


def test_a_folder_without_records_is_empty(make_run):
    found = contents(make_run("run", [], ["a"]))
    assert found.frame.empty
    assert found.problems == []


@pytest.mark.parametrize("files", ["both files", "run.json", "planned.json", "neither"])
def test_records_of_another_run_that_were_copied_into_a_folder_are_in_it(make_run, files):
    target, source = make_run("target", [record("a"), record("old")], ["a"]), make_run("source", [record("b")], ["b"])
    copy_shards(source, target)
    kept = {"both files": ("run.json", "planned.json"), "neither": ()}.get(files, (files,))
    for name in {"run.json", "planned.json"} - {*kept}:
        (target / name).unlink()
    expected = {"both files": ["a", "b"], "planned.json": ["a"]}.get(files, ["a", "b", "old"])
    assert sorted(ids(target)) == expected


def test_records_that_were_there_before_the_last_run_are_not_copied_in(make_run):
    folder = make_run("run", [record("old")], ["old"])
    store = Store(folder)
    plan.write(store, SUITE, ["new"])
    store.writer().write([record("new")])
    assert ids(folder) == ["new"]


def test_several_folders_are_loaded_as_one(make_run):
    one, two = make_run("one", map(record, "ab"), ["a", "b"]), make_run("two", map(record, "bc"), ["b", "c"])
    assert sorted(ids(one, two)) == ["a", "b", "c"]


def test_of_several_records_of_a_trial_the_last_to_end_counts(make_run):
    one = make_run("one", [record("a", 5, status="ok"), record("a", 3, status="failed")])
    two = make_run("two", [record("a", 4, status="failed")])
    assert list(contents(one, two).frame["status"]) == ["ok"]


def test_results_that_agree_are_no_problem(make_run):
    near = record("a", 1, coefficients=[1.0, 2.0 * (1 + 1e-9)])
    assert contents(make_run("run", [record("a"), near])).problems == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"coefficients": [1.0, 2.0 * (1 + 1e-7)]}),
        ({"solved_by": "Newton"}, {"solved_by": "Newton", "coefficients": [1.0, 2.0 * (1 + 1e-5)]}),
        ({"coefficients": [], "worst_test_risk": 1.0}, {"coefficients": [], "worst_test_risk": 1.1}),
        ({}, {"coefficients": [1.0]}),
    ],
    ids=["closed form", "trained", "network", "number of coefficients"],
)
def test_results_of_the_same_code_that_differ_are_nondeterminism(make_run, first, second):
    found = contents(make_run("run", [record("a", **first), record("b")]), make_run("two", [record("a", 1, **second)]))
    assert found.nondeterminism == "nondeterminism: the same code gave 1 trials results that differ: a"
    assert found.problems == [found.nondeterminism]


@pytest.mark.parametrize(
    "other",
    [
        {"plugins": ["q"]},
        {"device": "cuda"},
        {"made_by": {"code": "two", "torch": "2"}},
        {"made_by": {"code": "one", "torch": "3"}},
        {"status": "failed", "error": "x"},
        {"solved_by": "Newton", "coefficients": [1.0, 2.0 * (1 + 1e-8)]},
    ],
    ids=str,
)
def test_results_that_may_differ_are_no_nondeterminism(make_run, other):
    other = {"coefficients": [3.0, 4.0]} | other
    first = record("a", solved_by=other.get("solved_by", "closed form"))
    assert contents(make_run("run", [first, record("a", 1, **other)])).nondeterminism == ""


def test_records_by_several_versions_of_the_code_are_said(make_run):
    by = [record(name, made_by={"code": code}) for name, code in ("ax", "bx", "cy")]
    (sentence,) = contents(make_run("run", [*by, record("d", made_by={})])).problems
    assert sentence == "made by 3 versions of irmbench's code: 2 by x, 1 by y, 1 by unknown"


def test_damaged_lines_are_said_with_their_shard(make_run):
    folder = make_run("run", map(record, "ab"), ["a", "b"])
    (shard,) = (folder / "records").iterdir()
    shard.write_bytes(b"garbage\n" + shard.read_bytes()[:-20])
    found = contents(folder)
    assert list(found.frame["trial_id"]) == ["a"]
    (sentence,) = found.problems
    assert sentence.count(shard.name) == 2


@pytest.mark.parametrize("planned", [None, ["a", "b"]])
def test_records_that_no_run_made_are_passed_over_and_said(make_run, planned):
    made_by_hand = {"schema": SCHEMA, "trial_id": "b", "status": "ok", "finished": "0"}
    found = contents(make_run("run", [record("a"), made_by_hand], planned))
    assert list(found.frame["trial_id"]) == ["a"]
    (sentence,) = found.problems
    assert "passed over: 1" in sentence


def test_the_code_of_records_is_hashed_from_modules_and_data(tmp_path, monkeypatch):
    package = tmp_path / "irmbench"
    (package / "data").mkdir(parents=True)
    for folder in ("methods", "runs"):
        (package / folder).mkdir()
    monkeypatch.setattr("irmbench.__file__", str(package / "__init__.py"))

    def code(file, content):
        (package / file).write_text(content)
        provenance.code.cache_clear()
        return provenance.code()

    first = code("__init__.py", "")
    assert code("__init__.py", "x = 1") != first
    assert code("__init__.py", "") == first == code("methods/erm.py", "") == code("notes.txt", "")
    assert (
        len(
            {
                first,
                code("solve.py", ""),
                code("runs/store.py", ""),
                code("data/classes.toml", ""),
                code("data/classes.toml", "x = 1"),
            }
        )
        == 5
    )
    provenance.code.cache_clear()


def test_a_plan_that_is_garbage_is_no_plan(make_run):
    folder = make_run("run", map(record, "ab"), ["a"])
    (folder / "planned.json").write_bytes(b"\xff{")
    (folder / "run.json").write_bytes(msgspec.json.encode([1]))
    assert sorted(ids(folder)) == ["a", "b"]
    assert plan.planned_trials(folder) is None
    assert plan.planned_suite(folder) is None
