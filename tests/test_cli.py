"""The command line: exit codes, one-line errors, and what each command prints."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from irmbench import runner
from irmbench.runs.loading import Contents
from irmbench.runs.store import Store

ROOT = Path(__file__).resolve().parents[1]
TINY = """
name = "tiny"
seeds = 2

[[experiments]]
datasets = [{ id = "irm_appendix_d", n = 50 }]
methods = ["erm", "vrex"]
solvers = [{ name = "official", steps = 10 }]
open = true
"""
BREAKING = '''"""Breaking: a method that raises."""

from irmbench.interface import Method


class {name}(Method):
    """A method."""

    def objective(self, env):
        raise ArithmeticError("no luck")
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a small suite in it; plots have tests of their own, and are slow."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("irmbench.report.outputs.write", lambda *arguments, **keywords: None)
    (tmp_path / "tiny.toml").write_text(TINY)
    return tmp_path


@pytest.fixture
def call(folder, command_line):
    """The command line, in the working folder."""
    return command_line


@pytest.fixture
def refused(call):
    """Return a function from arguments to the one line on standard error that refuses them."""

    def run(*arguments):
        code, out, err = call(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("irmbench: ")
        assert err.count("\n") == 1
        return err

    return run


@pytest.fixture
def asked(monkeypatch):
    """What `run` asks the runner for, in place of running it."""
    seen = []

    def run_suite(suite, options):
        seen.append((suite, options))
        record = {"solver": "official", "method_label": "erm", "solved_by": "closed form", "status": "ok"}
        record |= {"seconds": 0.01, "family": "baseline"}
        record |= {"assumption_class": "any", "dataset": "data", "dataset_label": "data"}
        record |= {"data_seed": 0, "distance": 0.5}
        return runner.Summary(Path("out"), 1.0, Contents(pd.DataFrame([record]), "", []), 0, [])

    monkeypatch.setattr(runner, "run_suite", run_suite)
    return seen


def records(folder):
    return list(Store(folder / "out").records().values())


RUN = ("run", "tiny.toml", "--workers", "1", "--out", "out")


def test_a_run_prints_its_leaderboard_and_what_became_of_it(call):
    code, out, err = call(*RUN)
    assert (code, err) == (0, "")
    assert "erm" in out
    assert "vrex" in out
    assert "4 ok" in out
    assert out.rstrip().endswith("in out")


def test_show_prints_the_leaderboard_of_the_run(call):
    _, printed, _ = call(*RUN)
    code, shown, err = call("show", "out")
    assert (code, err) == (0, "")
    assert shown.strip()
    assert shown in printed


@pytest.mark.parametrize("form", ["markdown", "latex", "csv", "json"])
def test_show_prints_a_format_and_nothing_else(call, form):
    call(*RUN)
    code, shown, err = call("show", "out", "--format", form)
    assert (code, err) == (0, "")
    assert "vrex" in shown
    assert shown.startswith({"markdown": "# ", "latex": "% needs", "csv": "solver,", "json": "{\n"}[form])


def test_show_of_an_incomplete_run_says_so_beside_pure_data(call, folder):
    call(*RUN)
    (shard,) = (folder / "out" / "records").glob("*.jsonl")
    shard.write_text("".join(shard.read_text().splitlines(keepends=True)[:-1]))
    code, shown, err = call("show", "out", "--format", "json")
    assert code == 0
    assert json.loads(shown)["rows"]
    assert err == "incomplete: 3 of 4 trials; the command that started the run resumes it\n"


def test_compare_prints_two_runs_side_by_side(call):
    call(*RUN)
    call("run", "tiny.toml", "--workers", "1", "--out", "other", "--methods", "erm", "--seeds", "3")
    code, shown, err = call("compare", "out", "other")
    assert (code, err) == (0, "")
    for said in (
        "other (B) beside out (A)",
        "same",
        "Only in A, 2 of its trials: methods vrex.",
        "Only in B, 1 of its trials: data seeds 2.",
    ):
        assert said in shown
    rows = json.loads(call("compare", "out", "other", "--format", "json")[1])["rows"]
    assert [(row["method_label"], row["n"], row["verdict"]) for row in rows] == [("erm", 2, "same")]


def test_run_and_show_tell_of_torn_lines_and_of_results_that_differ(call, folder):
    call(*RUN)
    shard = next((folder / "out" / "records").glob("*.jsonl"))
    record = json.loads(next(line for line in shard.read_text().splitlines() if "coefficients" in line))
    other = record | {"coefficients": [x + 1 for x in record["coefficients"]]}
    shard.with_stem("copied").write_text(json.dumps(other) + '\n{"trial_id')
    for command, expected in ((RUN, 1), (("show", "out"), 0)):
        code, out, err = call(*command)
        assert code == expected
        assert f"nondeterminism: the same code gave 1 trials results that differ: {record['trial_id']}" in out + err
        assert "1 torn last lines" in out + err


def test_a_failed_trial_is_exit_code_1(call, write_plugin):
    write_plugin("methods", "breaking_run", BREAKING.format(name="BreakingRun"))
    code, out, err = call(*RUN)
    assert (code, err) == (1, "")
    assert "2 failed" in out
    assert "ArithmeticError: no luck" in out
    assert "Traceback" not in out


def test_an_interrupted_run_is_exit_code_130_and_says_how_to_go_on(call, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run_suite", interrupted)
    code, out, err = call(*RUN)
    assert (code, out) == (130, "")
    assert err == "interrupted; what is done is kept, and the same command (without --fresh) resumes it\n"


def test_without_a_command_the_quick_suite_is_run(call, asked):
    code, _, _ = call()
    ((suite, options),) = asked
    assert (code, suite.name) == (0, "quick")
    assert options == runner.Options()


def test_every_option_reaches_the_runner(call, asked):
    options = "--out o --seeds 3 --methods erm,vrex --datasets irm_chain,unit_test_1 --solver converged --device cpu"
    more = "--workers 2 --record-every 5 --fresh --set methods.vrex.ddof=1 --set methods.erm.weighting=balanced"
    call("run", "tiny.toml", *options.split(), *more.split())
    ((suite, found),) = asked
    assert suite.name == "tiny"
    assert (found.out, found.device, found.workers, found.fresh) == (Path("o"), "cpu", 2, True)
    changes = found.changes
    assert (changes.seeds, changes.solver, changes.record_every) == (3, "converged", 5)
    assert (changes.methods, changes.datasets) == (("erm", "vrex"), ("irm_chain", "unit_test_1"))
    assert changes.values == ("methods.vrex.ddof=1", "methods.erm.weighting=balanced")


def test_blanks_around_names_do_not_matter(call, asked):
    call("run", "tiny.toml", "--methods", " erm , vrex ")
    assert asked[0][1].changes.methods == ("erm", "vrex")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("rn", "unknown command 'rn'. Did you mean 'run'?"),
        ("qqqqqq", "unknown command 'qqqqqq'."),
        ("run", "Missing argument"),
        ("run quikc", "unknown suite 'quikc'. Did you mean 'quick'?"),
        ("run nothing.toml", "nothing.toml: no such TOML file"),
        ("run .", "is a folder, not a TOML file"),
        ("run broken.toml", "broken.toml: not TOML: "),
        ("run wrong.toml", "wrong.toml: Object contains unknown field `sedes`. Did you mean 'seeds'?"),
        ("run tiny.toml extra", "extra"),
        ("run tiny.toml --sedes 3", "No such option: --sedes"),
        ("run tiny.toml --seeds 0", "--seeds"),
        ("run tiny.toml --seeds few", "--seeds"),
        ("run tiny.toml --seeds", "--seeds"),
        ("run tiny.toml --solver convergd", "'convergd' is not one of 'official', 'converged', 'population'"),
        ("run tiny.toml --device tpu", "'tpu' is not one of 'cpu', 'cuda'"),
        ("run tiny.toml --workers 0", "--workers"),
        ("run tiny.toml --record-every -1", "--record-every"),
        ("run tiny.toml --methods vrx", "unknown method 'vrx'. Did you mean 'vrex'?"),
        ("run tiny.toml --datasets irm_chian", "unknown dataset 'irm_chian'. Did you mean 'irm_chain'?"),
        ("run tiny.toml --set x=1", "--set x=1: expected methods.ID.PARAMETER=VALUE"),
        ("run tiny.toml --set methods.vrex.dof=1", "unknown parameter 'dof'. Did you mean 'ddof'?"),
        ("run tiny.toml --out tiny.toml", "tiny.toml: cannot be written to"),
        ("show nothing", "nothing: holds no run"),
        ("show", "Missing argument"),
        ("show nothing --format pdf", "'pdf' is not one of 'terminal', 'markdown', 'latex', 'csv', 'json'"),
        ("compare nothing", "Missing argument"),
        ("compare nothing nothing", "nothing: holds no run"),
        ("rerun nothing abc", "nothing: holds no run"),
        ("list vrx", "nothing is named 'vrx'. Did you mean 'vrex'?"),
        ("list --jsn", "No such option: --jsn"),
    ],
)
def test_wrong_usage_or_input_is_one_line_on_standard_error_and_exit_code_2(refused, folder, arguments, said):
    (folder / "broken.toml").write_text("name =")
    (folder / "wrong.toml").write_text(TINY.replace("seeds", "sedes"))
    # Punctuation between a message and its suggestion is a matter of taste.
    assert said.replace(". Did", " Did") in refused(*arguments.split()).replace(". Did", " Did")


def test_a_missing_device_is_told_on_one_line(refused, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "--device cuda" in refused("run", "tiny.toml", "--device", "cuda")


def test_no_names_at_all_are_not_all_names(refused):
    assert "--methods" in refused("run", "tiny.toml", "--methods", ",")


def test_two_plugins_of_one_name_are_told_on_one_line(refused, write_plugin):
    write_plugin("methods", "erm", BREAKING.format(name="ERM"))
    assert "two methods are named 'erm'" in refused("list", "methods")


def test_an_error_leaves_nothing_behind(refused, folder):
    refused("run", "tiny.toml", "--methods", "vrx")
    assert [file.name for file in folder.iterdir()] == ["tiny.toml"]


def test_show_of_a_run_without_records_says_so(refused, folder):
    (folder / "out" / "records").mkdir(parents=True)
    assert "no records yet" in refused("show", "out")


def test_rerun_prints_the_record_beside_the_new_result(call, folder):
    call(*RUN)
    record = records(folder)[0]
    code, out, err = call("rerun", "out", record["trial_id"])
    assert (code, err) == (0, "")
    (first, stored), (second, now) = (line.split(maxsplit=1) for line in out.splitlines())
    assert (first, second) == ("stored", "now")
    stored, now = json.loads(stored), json.loads(now)
    assert stored["coefficients"] == record["coefficients"]
    assert now["coefficients"] == pytest.approx(stored["coefficients"], rel=1e-8)


def test_rerunning_a_failure_is_exit_code_1(call, folder, write_plugin):
    write_plugin("methods", "breaking_rerun", BREAKING.format(name="BreakingRerun"))
    call(*RUN)
    failed = next(r for r in records(folder) if r["status"] == "failed")
    code, out, err = call("rerun", "out", failed["trial_id"])
    assert (code, err) == (1, "")
    assert "no luck" in out.splitlines()[1]


def test_list_prints_every_kind(call):
    code, out, err = call("list")
    assert (code, err) == (0, "")
    for said in ("methods:", "datasets:", "suites:", "  vrex ", "  irm_chain ", "  quick "):
        assert said in out


def test_list_of_a_kind_prints_only_that(call):
    out = call("list", "datasets")[1]
    assert "irm_chain" in out
    assert "vrex" not in out
    assert "suites:" not in out


def test_list_of_a_name_prints_all_about_it(call):
    out = call("list", "vrex")[1]
    for said in ("Krueger", "risk-based", "penalty_weight", "10^U(-1, 5)", "anti_causal"):
        assert said in out


@pytest.mark.parametrize("what", [[], ["methods"], ["datasets"], ["suites"], ["vrex"], ["irm_chain"], ["quick"]])
def test_list_prints_json_objects_with_an_id(call, what):
    code, out, err = call("list", *what, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found
    assert all(entry["id"] for entry in found)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["list", "--help"]], ids=" ".join)
def test_help_is_exit_code_0(call, arguments):
    code, out, err = call(*arguments)
    assert (code, err) == (0, "")
    assert "Usage: " in out


def test_help_names_every_command(call):
    out = call("--help")[1]
    assert all(f"  {name} " in out for name in ("run", "list", "show", "compare", "rerun"))


def test_help_of_run_names_every_option(call):
    out = call("run", "--help")[1]
    named = ["--out", "--seeds", "--methods", "--datasets", "--solver", "--device", "--workers", "--set", "--fresh"]
    named += ["--record-every", "--executor", "--time-limit", "--memory-limit"]
    assert all(option in out for option in named)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_signal_interrupts_a_run_at_once(tmp_path, workers):
    endless = TINY.replace("steps = 10", "steps = 100_000_000").replace('"erm", "vrex"', '"vrex", "group_dro"')
    (tmp_path / "endless.toml").write_text(endless)
    command = [sys.executable, "-m", "irmbench", "run", "endless.toml", "--out", "out", "--workers", workers]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "out" / "run.json").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(3)  # now it computes
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    # A shell calls both 130: an interrupted `exec` inside PyTorch makes Python end itself by the signal (CPython 3.11).
    assert process.returncode in (130, -signal.SIGINT), err
    assert out == ""
    assert "interrupted; what is done is kept, and the same command (without --fresh) resumes it\n" in err
