"""Processes killed at random instants: a resumed run has the table of an undisturbed one, nothing lost or double."""

import contextlib
import itertools
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from support import records_of

import irmbench
from irmbench.runner import Options, run_suite
from irmbench.runs import dispatch, planning
from irmbench.suite import parse

ROOT = Path(irmbench.__file__).resolve().parents[1]
KILLS = 20
SLOW = '''"""Least squares, after a while."""

import time
from dataclasses import dataclass

import torch

from irmbench.interface import Method


@dataclass(frozen=True)
class SlowErm(Method):
    """A method."""

    def fit(self, moments):
        time.sleep(0.05)
        return torch.linalg.solve(moments.gram.mean(0), moments.cross.mean(0))
'''
SUITE = """
name = "killed"
seeds = 20

[[experiments]]
datasets = [{ id = "irm_appendix_d", n = 20 }, { id = "irm_chain", n = 20, d = 2 }]
methods = ["slow_erm", "zero"]
solvers = ["converged"]
"""
# A process that has loaded everything, and forks coordinators that it kills after a random time. A run that lives to
# the end is followed by one in another folder, until as many are killed as should be; then the last one is resumed.
DRIVER = f"""
import os, random, signal, sys, time
from pathlib import Path
from irmbench.report import outputs
from irmbench.runs import planning
from irmbench.runner import Options, run_suite
from irmbench.suite import parse

planning.MAX_TRIALS = 2
outputs.write = lambda *arguments, **keywords: None
suite, out, rng, killed, runs = parse(sys.stdin.read()), Path(sys.argv[1]), random.Random(0), 0, 0

def ends(after=None):
    pid = os.fork()
    if not pid:
        try:
            run_suite(suite, Options(out=out / str(runs), workers=1))
            os._exit(0)
        finally:
            os._exit(1)
    if after:
        time.sleep(after)
        os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]

while killed < {KILLS}:
    status = ends(rng.uniform(0.02, 0.4))
    assert status in (0, signal.SIGKILL), status
    killed, runs = killed + (status != 0), runs + (status == 0)
assert ends() == 0
"""


@pytest.fixture(autouse=True)
def _small_jobs(monkeypatch, write_plugin):
    """Many small jobs of a slow method, and no plots."""
    monkeypatch.setattr("irmbench.report.outputs.write", lambda *arguments, **keywords: None)
    monkeypatch.setattr(planning, "MAX_TRIALS", 2)
    write_plugin("methods", "slow_erm", SLOW)


@pytest.fixture
def undisturbed(tmp_path, _small_jobs):
    """The records of a run that nothing disturbs."""
    return records_of(run_suite(parse(SUITE), Options(out=tmp_path / "undisturbed", workers=1)))


def lines_of(folder):
    """Return the ids of all records in a folder's files, as often as they are there."""
    lines = [line for shard in (folder / "records").glob("*.jsonl") for line in shard.read_text().splitlines()]
    records = [json.loads(line) for line in lines if line.endswith("}")]
    return Counter(record["trial_id"] for record in records if "trial_id" in record)


def assert_same_table(found, expected):
    found, expected = ({r["trial_id"]: r for r in records} for records in (found, expected))
    assert set(found) == set(expected)
    for trial_id, record in expected.items():
        assert found[trial_id]["status"] == record["status"] == "ok"
        for key in ("coefficients", "distance", "worst_test_risk", "invariance_residual"):
            assert found[trial_id][key] == pytest.approx(record[key], rel=1e-8, abs=1e-12)


def test_a_coordinator_killed_at_twenty_random_instants_resumes_to_the_undisturbed_table(tmp_path, undisturbed):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "IRMBENCH_PATH": str(tmp_path / "mine")}
    command = [sys.executable, "-c", DRIVER, str(tmp_path / "killed")]
    done = subprocess.run(command, input=SUITE, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for folder in (tmp_path / "killed").iterdir():
        assert_same_table(irmbench.load(folder).to_dict("records"), undisturbed)
        assert set(lines_of(folder).values()) == {1}


def test_workers_killed_at_twenty_random_instants_cost_no_trial(tmp_path, undisturbed, monkeypatch):
    monkeypatch.setattr(dispatch, "DEATHS", KILLS + 1)  # a trial is not to blame for all of these
    killer = Killer()
    killer.start()
    for out in (tmp_path / f"killed-{number}" for number in itertools.count()):
        summary = run_suite(parse(SUITE), Options(out=out, workers=2))
        assert_same_table(records_of(summary), undisturbed)
        assert set(lines_of(out).values()) == {1}
        if killer.killed == KILLS:  # which on a busy machine one run does not live to see
            break
    killer.join()


class Killer(threading.Thread):
    """Kills workers of this process, or the processes that they run trials in, at random instants."""

    def __init__(self):
        super().__init__(daemon=True)
        self.killed, self._rng = 0, random.Random(0)

    def run(self):
        while self.killed < KILLS:
            time.sleep(self._rng.uniform(0.02, 0.1))
            with contextlib.suppress(psutil.Error):  # of a process that ended meanwhile
                workers = [child for child in psutil.Process().children() if "popen_loky" in " ".join(child.cmdline())]
                runners = [runner for worker in workers for runner in worker.children()]
                if runners:
                    self._rng.choice(workers if self.killed % 10 == 5 else runners).kill()
                    self.killed += 1
