"""Measuring in fresh processes, what a check makes of it, and the operator counts."""

import json
import subprocess
import time

import msgspec
import pytest
import torch
from perf_support import OPERATORS, SMALL, STEP, measurement

from irmbench.errors import UserError
from irmbench.perf import operator_counts, penalty_times, regressions, worker
from irmbench.perf.fingerprint import fingerprint
from irmbench.perf.penalty_times import NothingComparableError
from irmbench.perf.timing import Case

# As old as a revision can be: one function, none of the names that came later.
OLD_KERNEL = """
import torch

def irm_penalty(predictions, targets, *, loss="squared", estimator="split"):
    s = 2 * (predictions - targets) * predictions
    return s[..., 0::2].mean(-1) * s[..., 1::2].mean(-1)
"""


def findings(plan):
    """Return what a process would find: the seed as the seconds of every pair."""
    return [
        {
            "seconds": {arm: [1.0 + plan["seed"]] * pairs for arm in ("fast", "reference", "bound", *plan["kernels"])},
            "operators": OPERATORS,
            "peak_bytes": {"fast": 1, "reference": 2},
        }
        for _, pairs in plan["cases"]
    ]


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository whose package has a kernel in its second commit only."""
    package = tmp_path / "irmbench"
    package.mkdir()
    monkeypatch.setattr(penalty_times, "PACKAGE", package)

    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init", "--quiet")
    git("commit", "--allow-empty", "--message", "nothing")
    (package / "penalty.py").write_text(OLD_KERNEL)
    git("add", ".")
    git("commit", "--message", "a kernel")
    (package / "penalty.py").write_text("changed")
    return package


def test_cases_have_names_of_their_own():
    assert len({penalty_times.case_id(case) for case in penalty_times.GRID}) == len(penalty_times.GRID)
    assert len({penalty_times.label(case) for case in penalty_times.GRID}) == len(penalty_times.GRID)


def test_a_label_names_what_differs_from_the_notebooks_step():
    assert penalty_times.label(STEP) == "2 × 10,000"
    assert penalty_times.label(Case(1, 5, "float64", "logistic", "full")) == "1 × 5 float64 logistic full"


def test_the_labels_leave_room_in_a_table_of_80_columns():
    assert max(len(penalty_times.label(case)) for case in penalty_times.GRID) <= 20


def test_an_old_kernel_loads_beside_the_packages_own():
    kernel = worker.load_kernel("old", OLD_KERNEL)
    x, y = torch.ones(2, 4), torch.zeros(2, 4)
    assert kernel(x, y).tolist() == [4.0, 4.0]
    assert kernel.__module__ == "irmbench_penalty_old"


def test_the_working_trees_kernel_loads_twice():
    source = penalty_times.kernel_source()
    first, second = (worker.load_kernel(name, source) for name in ("base", "same"))
    assert first is not second
    arms = worker.kernel_arms(Case(3, 5), {"base": first, "same": second}, "cpu", 0)
    torch.testing.assert_close(arms["base"](), arms["same"]())


def test_all_kernels_run_on_the_same_tensors():
    seen = []

    def kernel(f, y, **options):
        seen.append((f.data_ptr(), y.data_ptr(), options))
        return (f * y).sum(-1)

    for arm in worker.kernel_arms(SMALL, {"a": kernel, "b": kernel}, "cpu", 0).values():
        arm()
    assert seen[0] == seen[1]
    assert seen[0][2] == {"loss": "squared", "estimator": "split"}


def test_a_process_reports_every_arm_and_its_counters():
    kernel = worker.load_kernel("old", OLD_KERNEL)
    found = worker.measure_case(Case(2, 10), 2, {"base": kernel}, "cpu", 0)
    assert {arm: len(values) for arm, values in found["seconds"].items()} == dict.fromkeys(
        ("fast", "reference", "bound", "base"), 2
    )
    assert sum(found["operators"].values()) <= 18
    assert 0 < found["peak_bytes"]["fast"] < found["peak_bytes"]["reference"]


def test_all_kernels_are_called_equally_often():
    calls = {"base": 0, "same": 0}

    def kernel(name):
        def run(f, y, **options):
            calls[name] += 1
            return (f * y).sum(-1)

        return run

    worker.measure_case(Case(2, 10), 2, {name: kernel(name) for name in calls}, "cpu", 0)
    assert calls["base"] == calls["same"] > 2


def test_peak_memory_is_what_is_held_at_once():
    def arm():
        for _ in range(3):
            torch.zeros(1000)

    assert worker.peak_bytes(arm, "cpu") == 4000


def test_the_clock_leaves_out_time_in_the_queue_for_a_core(tmp_path):
    schedule = tmp_path / "schedstat"
    schedule.write_text("500 2000000000 7\n")
    read = worker.quiet_clock(str(schedule))
    before = read()
    schedule.write_text("900 5000000000 8\n")
    assert read() - before == pytest.approx(-3, abs=0.5)


def test_the_clock_counts_sleep():
    read = worker.quiet_clock()
    if read is time.process_time:
        pytest.skip("this kernel keeps no statistics of queues")
    before = read()
    time.sleep(0.02)
    assert read() - before >= 0.01


@pytest.mark.parametrize("content", [None, "0 0 1\n"])
def test_without_statistics_processor_time_is_read(content, tmp_path):
    schedule = tmp_path / "schedstat"
    if content:
        schedule.write_text(content)
    assert worker.quiet_clock(str(schedule)) is time.process_time


def test_a_measurement_has_a_row_per_process(monkeypatch):
    monkeypatch.setattr(penalty_times, "fresh_process", findings)
    first, second = penalty_times.measure([STEP, Case(1, 10_000_000)], kernels={"base": OLD_KERNEL}, factor=2)
    assert first.case == STEP
    assert set(first.seconds) == {"fast", "reference", "bound", "base"}
    assert first.seconds["base"].shape == (penalty_times.PROCESSES, 2 * penalty_times.PAIRS)
    assert first.seconds["fast"][:, 0].tolist() == [1.0 + seed for seed in range(penalty_times.PROCESSES)]
    assert second.seconds["fast"].shape[1] < penalty_times.PAIRS


def test_a_process_is_a_new_interpreter_with_one_thread():
    source = OLD_KERNEL + "\nassert torch.get_num_threads() == 1\n"
    plan = {"cases": [], "device": "cpu", "kernels": {"base": source}, "seed": 0}
    assert penalty_times.fresh_process(plan) == []


def test_a_process_that_fails_is_one_line():
    plan = {"cases": [], "device": "cpu", "kernels": {"base": "import nothing_like_it"}, "seed": 0}
    with pytest.raises(UserError, match=r"^a measuring process failed: ModuleNotFoundError: .*nothing_like_it"):
        penalty_times.fresh_process(plan)


def check(monkeypatch, *slowdowns):
    """Return the decisions on two cases, the first of which slows down so in each measurement; and the measurements."""
    calls = []

    def measure(cases, device, kernels, factor=1):
        calls.append((list(cases), factor, sorted(kernels)))
        slowdown = {STEP: slowdowns[len(calls) - 1]}
        return [measurement(case, base=1 / slowdown.get(case, 1.0), same=1.0) for case in cases]

    monkeypatch.setattr(penalty_times, "measure", measure)
    return penalty_times.check(OLD_KERNEL, [STEP, SMALL]), calls


def test_a_check_of_the_same_code_is_ok_and_not_run_again(monkeypatch):
    decisions, calls = check(monkeypatch, 1.0)
    assert [decision.verdict for decision in decisions] == ["ok", "ok"]
    assert calls == [([STEP, SMALL], 1, ["base", "same"])]


def test_a_change_is_run_again_with_twice_the_pairs(monkeypatch):
    decisions, calls = check(monkeypatch, 1.25, 1.2)
    assert [decision.verdict for decision in decisions] == ["regressed", "ok"]
    assert decisions[0].ratio.median == pytest.approx(1.2)
    assert calls[1:] == [([STEP], 2, ["base", "same"])]


def test_a_change_that_does_not_repeat_is_inconclusive(monkeypatch):
    decisions, _ = check(monkeypatch, 1.25, 1.0)
    assert decisions[0].verdict == "inconclusive"


def test_a_speedup_is_confirmed_too(monkeypatch):
    decisions, calls = check(monkeypatch, 0.8, 0.8)
    assert decisions[0].verdict == "improved"
    assert len(calls) == 2


def test_the_kernel_of_another_revision_is_read(repository):
    assert penalty_times.kernel_source(penalty_times.revision("HEAD")) == OLD_KERNEL
    assert penalty_times.kernel_source() == "changed"


def test_a_revision_without_a_kernel_is_not_comparable(repository):
    with pytest.raises(NothingComparableError, match=r"has no irmbench/penalty\.py"):
        penalty_times.kernel_source(penalty_times.revision("HEAD~1"))


@pytest.mark.parametrize("ref", ["HEAD~9", "nonsense", "--help", ""])
def test_an_unknown_revision_is_refused(ref, repository):
    with pytest.raises(UserError, match="no such revision"):
        penalty_times.revision(ref)


def test_a_device_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    penalty_times.require("cpu")
    with pytest.raises(NothingComparableError, match=r"^CUDA: not measured"):
        penalty_times.require("cuda")


def test_every_case_of_the_grid_has_an_expected_count():
    assert set(operator_counts.expected("cpu")) == {penalty_times.case_id(case) for case in penalty_times.GRID}


@pytest.mark.parametrize(
    "case",
    [case for case in penalty_times.GRID if case.environments * case.n < penalty_times.LARGE],
    ids=penalty_times.label,
)
def test_the_penalty_calls_the_operators_that_are_expected(case):
    arm = worker.kernel_arms(case, {"fast": worker.irm_penalty}, "cpu", 0)["fast"]
    counted = {penalty_times.case_id(case): dict(worker.count_operators(arm))}
    assert operator_counts.differences(counted, "cpu") == []


@pytest.fixture
def expectations(tmp_path, monkeypatch):
    file = tmp_path / "operator_counts.json"
    file.write_text(json.dumps({"cpu": {"a": OPERATORS}, "cuda": {"a": OPERATORS}}))
    monkeypatch.setattr(operator_counts, "EXPECTED", file)
    return file


def test_a_difference_names_the_operators(expectations):
    (line,) = operator_counts.differences({"a": {"aten.mul.Tensor": 3, "aten.add.Tensor": 1}}, "cpu")
    assert line == (
        "operators of a: 3 expected, 4 counted (aten.add.Tensor 0 to 1, aten.mul.Tensor 2 to 3, aten.sub.Tensor 1 to 0)"
    )


def test_equal_totals_of_other_operators_differ(expectations):
    assert operator_counts.differences({"a": {"aten.mul.Tensor": 3}}, "cpu")


def test_what_nobody_has_counted_does_not_differ(expectations):
    assert operator_counts.differences({"b": {"aten.mul.Tensor": 3}}, "cpu") == []
    assert operator_counts.differences({"a": {"aten.mul.Tensor": 3}}, "meta") == []


def test_an_update_replaces_the_device_and_leaves_the_others(expectations):
    operator_counts.update({"b": {"aten.mul.Tensor": 1}}, "cpu")
    assert msgspec.json.decode(expectations.read_bytes()) == {
        "cpu": {"b": {"aten.mul.Tensor": 1}},
        "cuda": {"a": OPERATORS},
    }


def test_a_fingerprint_is_stable_and_tells_devices_apart(monkeypatch):
    machine = fingerprint("cpu")
    assert machine == fingerprint("cpu")
    assert {"machine", "affinity", "torch", "build", "threads", "python", "gpu", "driver"} <= set(machine)
    assert any("BLAS_INFO" in line for line in machine["build"])
    assert fingerprint("meta")["fingerprint"] != machine["fingerprint"]
    monkeypatch.setattr(torch, "__version__", "0.0.0")
    assert fingerprint("cpu")["fingerprint"] != machine["fingerprint"]


def test_the_tolerance_of_a_check_is_measured_by_two_copies_of_the_head(monkeypatch):
    def measure(cases, device, kernels, factor=1):
        return [measurement(case, base=1.0, same=1.1) for case in cases]

    monkeypatch.setattr(penalty_times, "measure", measure)
    (decision,) = penalty_times.check(OLD_KERNEL, [STEP])
    assert decision.tolerance == pytest.approx(0.1)
    assert decision.verdict == regressions.judge(decision.ratio, decision.tolerance) == "ok"
