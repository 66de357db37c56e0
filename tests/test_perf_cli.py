"""The commands `irmbench perf`: exit codes, one-line errors, and what they print and leave."""

import json
from functools import partial

import pytest
import torch
from perf_support import OPERATORS, decision, measurement, training

from irmbench.perf import operator_counts, penalty_times, training_times
from irmbench.perf import plots as perf_plots
from irmbench.perf import records as perf_records


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder, and a machine without noise; plots have tests of their own, and are slow."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(perf_plots, "save_scaling", lambda record: [record.path.with_suffix(".png")])
    monkeypatch.setattr(perf_plots, "save_history", lambda records: [perf_records.ROOT / "history.png"])
    monkeypatch.setattr(penalty_times, "measure", lambda cases, device: [measurement(case) for case in cases])
    monkeypatch.setattr(training_times, "measure", training)
    monkeypatch.setattr(penalty_times, "revision", lambda ref: "c" * 40)
    monkeypatch.setattr(penalty_times, "kernel_source", lambda commit: "")
    decided(monkeypatch, "ok")
    expectations = tmp_path / "operator_counts.json"
    expectations.write_text(
        json.dumps({"cpu": {penalty_times.case_id(case): OPERATORS for case in penalty_times.GRID}})
    )
    monkeypatch.setattr(operator_counts, "EXPECTED", expectations)
    return tmp_path


@pytest.fixture
def call(command_line):
    """The command line of `perf`."""
    return partial(command_line, "perf")


def decided(monkeypatch, *verdicts):
    def check(source, cases, device):
        return [decision(case, verdict=verdict) for case, verdict in zip(cases, verdicts, strict=False)]

    monkeypatch.setattr(penalty_times, "check", check)


def test_a_run_prints_a_table_and_stores_a_record_and_a_plot(call, folder):
    code, out, err = call("run")
    assert (code, err) == (0, "")
    assert "5.00 5.00–5.00" in out
    (record,) = (folder / "results" / "perf").glob("*/0001_*.json")
    assert f"record: {record.relative_to(folder)}\nplot: {record.relative_to(folder).with_suffix('.png')}" in out


def test_a_run_prints_and_stores_the_training_step(call):
    words = " ".join(call("run")[1].split())
    assert "10,000 1,000 11 3 3.63 ms 0.363 µs" in words
    assert "trials 1.00, n 0.00, d 2.00, environments 1.00" in words
    assert perf_records.load_all()[0].training == training()


def test_the_notebooks_loop_is_compared_and_the_setup_counted(call):
    out = " ".join(call("run")[1].split())
    assert "2 ms a step, the engine's (NumPy, moments of all examples) 20 µs; ratio 100 (100–100," in out
    assert "setting the engine up: 1 s; ratio over 50,000 steps with it, computed from these times: 50" in out


def test_what_compilation_costs_and_saves_is_said(call):
    out = " ".join(call("run")[1].split())
    assert "compiling the step of 200 trials: 9 s, first in its process, nothing cached; 400 µs a step before" in out
    assert "and 100 µs after, ratio 4; pays from 30,000 steps on" in out


def test_a_machine_that_cannot_compile_says_so(call, monkeypatch):
    monkeypatch.setattr(training_times, "measure", lambda: training(possible=False))
    assert "nothing can be compiled here; trying takes 9 s" in " ".join(call("run")[1].split())


def test_on_cuda_the_training_step_is_not_timed(call, monkeypatch):
    monkeypatch.setattr(penalty_times, "require", lambda device: None)
    monkeypatch.setattr(perf_records, "fingerprint", lambda device: {"fingerprint": "0" * 12})
    monkeypatch.delattr(training_times, "measure")
    out = call("run", "--device", "cuda")[1]
    assert "\nCUDA: not measured, the training step is timed on the CPU\n" in out
    assert "training" not in perf_records.load_all()[0].content


def test_a_check_does_not_time_the_training_step(call, monkeypatch):
    monkeypatch.delattr(training_times, "measure")
    assert call("check", "--base", "HEAD~1")[0] == 0
    assert perf_records.load_all()[0].training is None


def test_records_from_before_the_training_step_are_listed_and_compared(call, folder):
    call("run")
    (path,) = (folder / "results" / "perf").glob("*/0001_*.json")
    content = json.loads(path.read_text())
    del content["training"]
    path.write_text(json.dumps(content))
    call("run")
    assert call("compare", "0001", "0002")[0] == 0
    assert "0001_" in call("history")[1]


def test_the_tables_fit_80_columns_and_cut_nothing(call, monkeypatch):
    decided(monkeypatch, *["inconclusive"] * len(penalty_times.GRID))
    outputs = [call("run")[1], call("check", "--base", "HEAD~1")[1], call("compare", "0001", "0002")[1]]
    tables = [line for out in (*outputs, call("history")[1]) for line in out.splitlines() if ":" not in line]
    assert max(map(len, tables)) <= 80
    assert not any("…" in line for line in tables)


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [(["ok", "ok"], 0), (["ok", "improved"], 0), (["ok", "inconclusive"], 3), (["inconclusive", "regressed"], 1)],
)
def test_a_check_exits_with_its_worst_verdict(verdicts, code, call, monkeypatch):
    decided(monkeypatch, *verdicts)
    got, out, _ = call("check", "--base", "HEAD~1")
    assert got == code
    assert "against HEAD~1 (cccccccccccc)" in out
    assert perf_records.load_all()[0].infos[penalty_times.case_id(penalty_times.GRID[0])]["verdict"] == verdicts[0]


def test_a_check_needs_a_base(call):
    code, out, err = call("check")
    assert (code, out) == (2, "")
    assert "--base" in err


@pytest.mark.parametrize("command", [["run"], ["check", "--base", "HEAD~1"]], ids=lambda c: c[0])
def test_other_operators_than_expected_fail_until_they_are_expected(command, call):
    operator_counts.update({penalty_times.case_id(case): {} for case in penalty_times.GRID}, "cpu")
    code, out, _ = call(*command)
    assert code == 1
    assert "0 expected, 3 counted" in out
    assert call(*command, "--update")[0] == 0
    assert call(*command)[0] == 0


@pytest.mark.parametrize("command", [["run"], ["check", "--base", "HEAD~1"]], ids=lambda c: c[0])
def test_without_cuda_there_is_one_line_and_no_record(command, call, folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, out, err = call(*command, "--device", "cuda")
    assert (code, out, err) == (4, "", "irmbench: CUDA: not measured, there is no such device here\n")
    assert not (folder / "results").exists()


def test_records_of_one_machine_are_compared(call):
    call("run")
    call("run")
    code, out, _ = call("compare", "0001", "0002")
    assert code == 0
    assert "1.000 1.000–1.000" in out


def test_a_slower_record_is_a_regression(call, monkeypatch):
    call("run")
    monkeypatch.setattr(penalty_times, "measure", lambda cases, device: [measurement(case, fast=1.3) for case in cases])
    call("run")
    assert call("compare", "0001", "0002")[0] == 1


def test_records_of_two_machines_exit_with_one_line(call, folder):
    call("run")
    (path,) = (folder / "results" / "perf").glob("*/0001_*.json")
    content = json.loads(path.read_text())
    content["machine_info"]["fingerprint"] = "other"
    (folder / "other.json").write_text(json.dumps(content))
    code, out, err = call("compare", path, "other.json")
    assert (code, out) == (4, "")
    assert err.count("\n") == 1
    assert "different machines" in err


def test_history_lists_records_and_plots_them(call):
    call("run")
    call("check", "--base", "HEAD~1")
    code, out, _ = call("history")
    assert code == 0
    assert "no check" in out
    assert "1 ok" in out
    assert f"plot: {perf_records.ROOT / 'history.png'}" in out


def test_without_records_history_says_so(call):
    code, out, err = call("history")
    assert (code, out) == (4, "")
    assert "holds no record yet" in err


def test_an_unknown_command_gets_a_suggestion(call):
    code, _, err = call("chek")
    assert code == 2
    assert "Did you mean 'check'?" in err
