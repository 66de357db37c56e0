"""Records: what is stored, that pytest-benchmark reads it, and which may be compared."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from perf_support import OPERATORS, SMALL, STEP, decision, measurement, training

from irmbench.errors import UserError
from irmbench.perf import records as perf_records
from irmbench.perf.penalty_times import NothingComparableError, case_id
from irmbench.runs import provenance

COMMITTED = Path(__file__).parents[1] / perf_records.ROOT


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def commit(monkeypatch):
    """Return a function that makes the checkout look as if at a commit."""
    stamp = provenance.stamp()

    def at(name):
        monkeypatch.setattr(provenance, "stamp", lambda: stamp | {"commit": name})

    at("a" * 40)
    return at


def elsewhere(record):
    """Store the record as if another machine had measured it."""
    content = json.loads(record.path.read_text())
    content["machine_info"]["fingerprint"] = "0" * 12
    path = perf_records.ROOT / ("0" * 12) / record.path.name
    path.parent.mkdir()
    path.write_text(json.dumps(content))
    return perf_records.load(path)


def test_records_are_numbered_and_named_by_their_commit(commit):
    first = perf_records.save([measurement()], "cpu")
    commit("b" * 40 + "+")
    second = perf_records.save([measurement()], "cpu")
    assert first.path == perf_records.ROOT / first.fingerprint / f"0001_{'a' * 12}.json"
    assert second.path == perf_records.ROOT / first.fingerprint / f"0002_{'b' * 12}+.json"
    assert second.content["commit_info"] == {"id": "b" * 40, "dirty": True, "project": "irmbench"}


def test_outside_a_checkout_the_version_names_a_record(commit):
    commit(None)
    assert perf_records.save([measurement()], "cpu").name.startswith("0001_v")


def test_a_record_gives_back_what_was_measured():
    varied = measurement(fast=np.arange(1.0, 13.0).reshape(3, 4))
    found = perf_records.load(perf_records.save([varied, measurement(SMALL)], "cpu").path)
    assert list(found.measurements) == [case_id(STEP), case_id(SMALL)]
    again = found.measurements[case_id(STEP)]
    assert (again.case, again.operators, again.peak_bytes) == (varied.case, varied.operators, varied.peak_bytes)
    assert again.seconds["fast"].tolist() == varied.seconds["fast"].tolist()


def test_a_record_gives_back_the_training_step_where_it_was_measured():
    paths = [perf_records.save([measurement()], "cpu", training=found).path for found in (training(), None)]
    assert [perf_records.load(path).training for path in paths] == [training(), None]


def test_a_training_step_that_is_none_is_refused():
    path = perf_records.save([measurement()], "cpu", training=training()).path
    content = json.loads(path.read_text())
    del content["training"]["one_seed"]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="is no record"):
        perf_records.load(path)


@pytest.mark.parametrize("path", sorted(COMMITTED.glob("*/*.json")), ids=lambda path: path.stem)
def test_committed_records_load(path):
    assert perf_records.load(path).measurements


def test_the_fast_arm_says_what_was_made_of_the_samples():
    record = perf_records.save([decision(slowdown=1.25, verdict="regressed")], "cpu", "c" * 40)
    info = record.infos[case_id(STEP)]
    assert info["reference_over_fast"] == pytest.approx({"median": 5, "low": 5, "high": 5})
    assert info["fast_over_base"] == pytest.approx({"median": 1.25, "low": 1.25, "high": 1.25})
    assert (info["verdict"], info["tolerance"], info["base"]) == ("regressed", 0.03, "c" * 40)
    assert (info["operators"], info["peak_bytes"]["fast"]) == (OPERATORS, 100)


def test_a_run_has_no_verdict():
    info = perf_records.save([measurement()], "cpu").infos[case_id(STEP)]
    assert info["verdict"] is info["fast_over_base"] is info["base"] is None


def test_pytest_benchmark_compares_records():
    paths = [perf_records.save([measurement(fast=seconds)], "cpu", training=training()).path for seconds in (1.0, 2.0)]
    command = [Path(sysconfig.get_path("scripts")) / "pytest-benchmark", "compare", "--columns=median,rounds", *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if f"{case_id(STEP)}-fast" in line]
    assert len(lines) == 2
    assert "2.0000" in lines[1] or "2,000.0000" in lines[1]
    assert all(line.split()[-1] == "12" for line in lines)


def test_benchmarks_are_named_as_the_tests_are():
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "--collect-only", perf_records.TEST.removesuffix("::")]
    tests = subprocess.run(command, cwd=root, env=os.environ, capture_output=True, text=True, timeout=120).stdout
    names = [b["fullname"] for b in perf_records.save([measurement()], "cpu").content["benchmarks"]]
    assert set(names) <= set(tests.splitlines())


def test_records_are_found_by_number_commit_machine_and_path(commit):
    record = perf_records.save([measurement()], "cpu")
    commit("b" * 40)
    perf_records.save([measurement()], "cpu")
    for text in ("0001", "aaaa", f"{record.fingerprint}/0001", str(record.path)):
        assert perf_records.find(text).path == record.path


def test_a_record_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="0001: no such record"):
        perf_records.find("0001")


def test_an_ambiguous_name_is_refused(commit):
    elsewhere(perf_records.save([measurement()], "cpu"))
    with pytest.raises(UserError, match="several records match"):
        perf_records.find("0001")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"machine_info": {"fingerprint": "x"}, "benchmarks": [{}]}'])
def test_what_is_no_record_is_refused(content, folder):
    file = folder / "x.json"
    file.write_text(content)
    with pytest.raises(UserError, match="is no record"):
        perf_records.load(file)


def test_a_record_that_cannot_be_written_is_one_line(folder):
    (folder / "results").write_text("a file")
    with pytest.raises(UserError, match="the record cannot be written"):
        perf_records.save([measurement()], "cpu")


def test_two_records_are_compared_by_their_ratios_to_the_reference():
    base = perf_records.save([measurement()], "cpu")
    # The machine is twice as slow in the second, which is no regression; and the kernel 1.5 times as slow, which is.
    head = perf_records.save([measurement(fast=3.0, reference=10.0)], "cpu")
    (found,) = perf_records.compare(base, head)
    assert (found.case, found.verdict, found.tolerance) == (STEP, "regressed", 0.03)
    assert found.ratio == pytest.approx((1.5, 1.5, 1.5))


def test_records_are_compared_on_the_cases_they_share():
    base = perf_records.save([measurement(), measurement(SMALL)], "cpu")
    head = perf_records.save([measurement(SMALL)], "cpu")
    assert [found.case for found in perf_records.compare(base, head)] == [SMALL]


def test_a_floor_that_a_check_measured_is_the_tolerance():
    base = perf_records.save([measurement()], "cpu")
    checked = decision()
    head = perf_records.save([type(checked)(checked.measurement, checked.ratio, 0.2, "ok")], "cpu", "c" * 40)
    assert perf_records.compare(base, head)[0].tolerance == 0.2


def test_records_of_two_machines_are_never_compared():
    record = perf_records.save([measurement()], "cpu")
    with pytest.raises(NothingComparableError, match="different machines"):
        perf_records.compare(record, elsewhere(record))


def test_records_without_a_common_case_are_not_comparable():
    records = [perf_records.save([measurement(case)], "cpu") for case in (STEP, SMALL)]
    with pytest.raises(NothingComparableError, match="no case in common"):
        perf_records.compare(*records)


def test_without_records_there_is_nothing_to_compare():
    with pytest.raises(NothingComparableError, match="holds no record yet"):
        perf_records.load_all()
