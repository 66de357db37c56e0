"""Runs on Dask: a scheduler and two workers as they are started by hand, and a cluster of the run's own."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from support import records_of

import irmbench
from irmbench.errors import UserError
from irmbench.runner import Options, run_suite
from irmbench.runs import clusters, dispatch, planning
from irmbench.runs.limits import Limits
from irmbench.suite import parse

ROOT = Path(irmbench.__file__).resolve().parents[1]
SLOW = '''"""Least squares after a while, and where it was computed."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from irmbench.interface import Method


@dataclass(frozen=True)
class {name}(Method):
    """A method."""

    def fit(self, moments):
        Path("{folder}", str(os.getpid())).touch()
        time.sleep(0.2)
        return torch.linalg.solve(moments.gram.mean(0), moments.cross.mean(0))
'''
DEADLY = '''"""A method that its process does not survive."""

import os
import time
from dataclasses import dataclass

from irmbench.interface import Method


@dataclass(frozen=True)
class {name}(Method):
    """A method."""

    def fit(self, moments):
        {body}
'''
SUITE = """
name = "cluster"
seeds = {seeds}

[[experiments]]
datasets = [{{ id = "irm_appendix_d", n = 20 }}, {{ id = "irm_chain", n = 20, d = 2 }}]
methods = [{methods}]
solvers = [{{ name = "official", steps = 20 }}]
"""


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch):
    """Plots have tests of their own, and are slow."""
    monkeypatch.setattr("irmbench.report.outputs.write", lambda *arguments, **keywords: None)


@pytest.fixture
def cluster(tmp_path):
    """The address of a scheduler on loopback, and its two worker processes."""
    file = tmp_path / "scheduler.json"
    options = ["--scheduler-file", str(file), "--no-dashboard"]
    scheduler = ["dask_scheduler", *options, "--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"]
    worker = ["dask_worker", *options, "--no-nanny", "--nthreads", "1", "--local-directory", str(tmp_path)]
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(started(tmp_path, command)) for command in (scheduler, worker, worker)]
        deadline = time.monotonic() + 60
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        yield json.loads(file.read_text())["address"], processes[1:]


@contextlib.contextmanager
def started(folder, command):
    """Run one of Dask's commands meanwhile."""
    code = f"from distributed.cli.{command[0]} import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *command[1:]],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def run(out, methods, seeds=2, **options):
    return run_suite(parse(SUITE.format(methods=methods, seeds=seeds)), Options(out=out, **options))


def assert_same_table(found, expected):
    found, expected = ({r["trial_id"]: r for r in records_of(summary)} for summary in (found, expected))
    assert set(found) == set(expected)
    for trial_id, record in expected.items():
        assert found[trial_id]["status"] == record["status"] == "ok"
        tolerance = 1e-8 if record["solved_by"] == "closed form" else 1e-6
        for key in ("coefficients", "distance", "worst_test_risk", "invariance_residual"):
            assert found[trial_id][key] == pytest.approx(record[key], rel=tolerance, abs=1e-12)


def test_a_cluster_that_loses_a_worker_in_mid_run_gives_the_table_of_one_process(
    tmp_path, cluster, write_plugin, monkeypatch
):
    address, workers = cluster
    places = tmp_path / "places"
    places.mkdir()
    write_plugin("methods", "slow_on_dask", SLOW.format(name="SlowOnDask", folder=places))
    monkeypatch.setattr(planning, "MAX_TRIALS", 1)

    def lose_one():
        deadline = time.monotonic() + 60
        while len(list(places.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)
        workers[0].kill()

    killer = threading.Thread(target=lose_one)
    killer.start()
    found = run(tmp_path / "dask", '"slow_on_dask", "zero"', seeds=10, executor=f"dask:{address}")
    killer.join()
    assert {path.name for path in places.iterdir()} == {str(worker.pid) for worker in workers}
    assert workers[0].wait() < 0
    assert workers[1].poll() is None
    monkeypatch.setattr(planning, "MAX_TRIALS", 2048)
    assert_same_table(found, run(tmp_path / "alone", '"slow_on_dask", "zero"', seeds=10, workers=1))
    lines = [line for shard in (tmp_path / "dask" / "records").iterdir() for line in shard.read_text().splitlines()]
    ids = Counter(record["trial_id"] for record in map(json.loads, lines) if "trial_id" in record)
    assert set(ids.values()) == {1}


def test_numbers_are_the_same_in_one_process_in_two_workers_and_on_dask(tmp_path):
    methods = '"erm", "vrex"'
    alone = run(tmp_path / "alone", methods, workers=1)
    for executor in ("loky", "dask"):
        assert_same_table(run(tmp_path / executor, methods, workers=2, executor=executor), alone)


def test_on_dask_too_what_ends_or_never_ends_costs_its_own_trials(tmp_path, write_plugin, monkeypatch):
    monkeypatch.setattr(dispatch, "DEATHS", 1)
    write_plugin("methods", "ends_its_worker", DEADLY.format(name="EndsItsWorker", body="os._exit(1)"))
    write_plugin("methods", "never_ends", DEADLY.format(name="NeverEnds", body="time.sleep(1e6)"))
    methods, limits = '"ends_its_worker", "never_ends", "erm"', Limits(seconds=3)
    summary = run(tmp_path / "run", methods, 1, executor="dask", workers=1, limits=limits)
    expected = {"ends_its_worker": "failed", "never_ends": "failed", "erm": "ok"}
    frame = summary.contents.frame
    assert dict(zip(frame["method"], frame["status"], strict=True)) == expected
    assert "its Dask worker died" in str(summary)


def test_workers_of_a_cluster_that_runs_cannot_be_chosen(tmp_path):
    with pytest.raises(UserError, match="--workers 2: a cluster that runs has the workers it has"):
        run(tmp_path / "run", '"erm"', executor="dask:tcp://127.0.0.1:9", workers=2)
    assert not (tmp_path / "run").exists()


def test_a_scheduler_that_does_not_answer_is_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(clusters, "PATIENCE", 1)
    with pytest.raises(UserError, match=r"--executor dask:tcp://127.0.0.1:9: no scheduler answers") as caught:
        run(tmp_path / "run", '"erm"', executor="dask:tcp://127.0.0.1:9")
    assert "\n" not in str(caught.value)


def test_an_address_that_is_none_is_a_line(tmp_path):
    with pytest.raises(UserError, match="--executor dask:nonsense: no scheduler answers"):
        run(tmp_path / "run", '"erm"', executor="dask:nonsense")


def test_without_dask_a_line_says_how_to_have_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match=r"pip install 'irmbench\[distributed\]'"):
        run(tmp_path / "run", '"erm"', executor="dask")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("executor", ["locky", "loky:x", "", "ray", "dask:"])
def test_an_unknown_executor_is_refused_before_anything_is_made(tmp_path, executor):
    with pytest.raises(UserError, match="expected loky, dask or dask:ADDRESS"):
        run(tmp_path / "run", '"erm"', executor=executor, limits=Limits())
    assert not (tmp_path / "run").exists()
