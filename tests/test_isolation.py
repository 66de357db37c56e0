"""Plugins that crash, hang or take all memory: each costs its own trials, and the run says what happened."""

from collections import Counter

import pytest
from support import records_of

import irmbench
from irmbench.errors import UserError
from irmbench.runner import Options, run_suite
from irmbench.runs import dispatch
from irmbench.runs.limits import Limits
from irmbench.runs.store import Store
from irmbench.suite import parse, trials

METHOD = '''"""A method that does harm."""

import ctypes, os, sys, time
from dataclasses import dataclass
from pathlib import Path

import torch

from irmbench.interface import Method, hyper


@dataclass(frozen=True)
class {name}(Method):
    """A method."""

    weight: float = hyper(1.0, "a weight")

    def fit(self, moments):
        {body}
        return moments.cross[0]
'''
DATASET = '''"""A dataset that does harm when its first examples are drawn."""

import os
from dataclasses import dataclass

from irmbench.datasets.irm_appendix_d import IRMAppendixD


@dataclass(frozen=True)
class {name}(IRMAppendixD):
    """A dataset."""

    def sample(self, n, seed):
        os._exit(3)
'''
HARM = {  # what a method does: how its trials end
    "raises": ('raise ArithmeticError("no luck")', "ArithmeticError: no luck"),
    "gives_nan": ('return moments.cross[0] * float("nan")', "not finite: coefficients"),
    "wrong_shape": ("return torch.ones(moments.dimension + 1, dtype=torch.float64)", ""),
    "sys_exits": ("sys.exit(3)", "SystemExit: 3"),
    "interrupts": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "exits": ("os._exit(0)", "its process ended with exit code 0"),
    "segfaults": ("ctypes.string_at(0)", "its process was killed by SIGSEGV"),
    "kills_itself": ("os.kill(os.getpid(), 9)", "its process was killed by SIGKILL"),
    "sleeps": ("time.sleep(1e6)", "it took longer than the time limit"),
    "holds_the_gil": ("ctypes.PyDLL(None).sleep(10**6)", "it took longer than the time limit"),
    "allocates": ("held = [torch.ones(2**22) for _ in range(10**6)]", "can't allocate memory"),
    "grows": ("held = [bytearray(2**20) for _ in range(10**6)]", "it takes more than --memory-limit 300 MiB"),
}
SUITE = """
name = "harm"
seeds = {seeds}

[[experiments]]
datasets = [{datasets}]
methods = [{methods}]
solvers = ["converged"]
"""
SMALL = '{ id = "irm_appendix_d", n = 50 }'
LIMITS = Limits(seconds=2.0, mebibytes=300)


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch):
    """Plots have tests of their own, and are slow."""
    monkeypatch.setattr("irmbench.report.outputs.write", lambda *arguments, **keywords: None)


def suite(methods, seeds=1, datasets=SMALL):
    return parse(SUITE.format(seeds=seeds, datasets=datasets, methods=methods))


def run(out, of, limits=LIMITS, workers=1):
    return run_suite(of, Options(out=out, workers=workers, limits=limits))


@pytest.fixture(scope="module")
def harmed(tmp_path_factory):
    """The folder of a run of all harmful methods, one trial each, and two that are well, after one death a trial."""
    folder = tmp_path_factory.mktemp("harm")
    (folder / "methods").mkdir()
    for name, (body, _) in HARM.items():
        code = METHOD.format(name=name.title().replace("_", ""), body=body)
        (folder / "methods" / f"{name}.py").write_text(code)
    names = ", ".join(f'"{name}"' for name in ("erm", *HARM, "zero"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("irmbench.report.outputs.write", lambda *arguments, **keywords: None)
        patch.setattr(irmbench, "__path__", [*irmbench.__path__, str(folder)])
        patch.setattr(dispatch, "DEATHS", 1)
        return run(folder / "run", suite(names), workers=2)


@pytest.mark.parametrize("name", HARM)
def test_harm_costs_its_own_trial_and_says_what_it_was(harmed, name):
    (record,) = [r for r in records_of(harmed) if r["method"] == name]
    assert record["status"] == "failed"
    assert HARM[name][1] in record["error"]


def test_harm_costs_no_other_trial(harmed):
    assert {r["method"] for r in records_of(harmed) if r["status"] == "ok"} == {"erm", "zero"}
    assert len(records_of(harmed)) == len(HARM) + 2


@pytest.mark.parametrize("name", ["segfaults", "sleeps", "holds_the_gil"])
def test_what_is_given_up_says_where_it_was(harmed, name):
    (record,) = [r for r in records_of(harmed) if r["method"] == name]
    line = 1 + METHOD.splitlines().index("        {body}")
    assert f'{name}.py", line {line} in fit' in record["error"]


def test_the_summary_counts_what_is_given_up(harmed):
    assert "5 given up: run again only when their plugin, --time-limit or --memory-limit changes" in str(harmed)
    assert harmed.is_wrong


def test_a_batch_that_dies_is_halved_until_its_culprit_has_died_three_times(tmp_path, write_plugin):
    code = DATASET.replace("os._exit(3)", "return os._exit(3) if seed == 4 else super().sample(n, seed)")
    write_plugin("datasets", "deadly_seed", code.format(name="DeadlySeed"))
    of = suite('"erm", "zero"', seeds=6, datasets='{ id = "deadly_seed", n = 20 }')
    summary = run(tmp_path / "run", of)
    failed = [r for r in records_of(summary) if r["status"] == "failed"]
    assert [(r["data_seed"], r["deaths"]) for r in failed] == [(4, 3)] * 2
    assert summary.statuses == {"ok": 10, "failed": 2}
    assert set(Store(tmp_path / "run").deaths().values()) == {3}


def test_deaths_of_an_earlier_run_count(tmp_path, write_plugin):
    write_plugin("methods", "dies_again", METHOD.format(name="DiesAgain", body="os._exit(1)"))
    of = suite('"dies_again"')
    store = Store(tmp_path / "run")
    store.create()
    (trial,) = trials(of)
    for _ in range(2):
        store.writer().death([trial.id], "before")
    (record,) = records_of(run(tmp_path / "run", of))
    assert record["deaths"] == 3
    assert store.deaths() == Counter({trial.id: 3})


def test_what_is_given_up_is_run_again_under_other_limits_only(tmp_path, write_plugin, monkeypatch):
    monkeypatch.setattr(dispatch, "DEATHS", 1)
    switch = tmp_path / "die"
    switch.touch()
    body = f'if Path("{switch}").exists():\n            os._exit(1)'
    write_plugin("methods", "dies_once", METHOD.format(name="DiesOnce", body=body))
    of, out = suite('"dies_once"'), tmp_path / "run"
    assert run(out, of).statuses == {"failed": 1}
    switch.unlink()
    assert run(out, of).statuses == {"failed": 1}
    assert run(out, of, Limits(seconds=30)).statuses == {"ok": 1}


def test_a_plugin_of_which_nothing_lives_is_soon_given_up(tmp_path, write_plugin, monkeypatch):
    monkeypatch.setattr(dispatch, "HOPELESS", 2)
    monkeypatch.setattr(dispatch, "DEATHS", 1)
    write_plugin("methods", "always_dies", METHOD.format(name="AlwaysDies", body="os._exit(1)"))
    summary = run(tmp_path / "run", suite('"always_dies", "erm"', seeds=32))
    assert summary.statuses == {"ok": 32, "failed": 32}
    starts = [line for shard in Store(tmp_path / "run").shards() for line in shard.read_text().splitlines()]
    assert sum('"event":"start"' in line for line in starts) < 20


def test_a_dataset_that_dies_when_it_is_looked_at_costs_its_own_trials(tmp_path, write_plugin, monkeypatch):
    monkeypatch.setattr(dispatch, "DEATHS", 1)
    write_plugin("datasets", "never_seen", DATASET.format(name="NeverSeen"))
    of = suite('"erm"', seeds=2, datasets=f'{SMALL}, "never_seen"')
    summary = run(tmp_path / "run", of)
    assert {(r["dataset"], r["status"]) for r in records_of(summary)} == {
        ("irm_appendix_d", "ok"),
        ("never_seen", "failed"),
    }


def test_in_one_process_a_plugin_that_exits_fails_its_own_trials(tmp_path, write_plugin):
    write_plugin("methods", "leaves", METHOD.format(name="Leaves", body="sys.exit(0)"))
    summary = run_suite(suite('"leaves", "erm"'), Options(out=tmp_path / "run", workers=1))
    assert summary.statuses == {"ok": 1, "failed": 1}


@pytest.mark.parametrize(
    ("limits", "device", "message"),
    [
        (Limits(seconds=0.0), "cpu", "--time-limit: expected a number above 0, got 0.0"),
        (Limits(seconds=float("nan")), "cpu", "--time-limit"),
        (Limits(mebibytes=-5), "cpu", "--memory-limit: expected a number above 0, got -5"),
        (Limits(mebibytes=5), "cuda", "--memory-limit: CUDA reserves"),
    ],
)
def test_limits_that_cannot_be_held_are_refused(limits, device, message):
    with pytest.raises(UserError, match=message):
        limits.check(device)
