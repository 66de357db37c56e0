"""What a trial costs beside its method: many trials of closed forms on ten examples, from suite to stored records.

pytest -n0 --benchmark-enable --benchmark-only tests/benchmarks/test_dispatch_benchmark.py
"""

import pytest

from irmbench.runner import Options, run_suite
from irmbench.runs import execution
from irmbench.runs.planning import Survey
from irmbench.runs.store import Store
from irmbench.suite import parse, trials

MANY = """
name = "many"
seeds = {seeds}

[[experiments]]
datasets = [{{ id = "irm_appendix_d", n = 10 }}]
methods = ["zero", "erm"]
solvers = ["converged"]
"""


@pytest.fixture(scope="module")
def records():
    """The records of a job."""
    jobs = execution.run(Survey(trials(parse(MANY.format(seeds=500))))).jobs
    return execution.run(jobs[0]).records


@pytest.mark.slow
def test_a_run_of_many_small_trials(benchmark, tmp_path, monkeypatch):
    """Divide by 10,000 for a trial; 50,000 seeds make it 10^5 trials."""
    monkeypatch.setattr("irmbench.report.outputs.write", lambda *arguments, **keywords: None)
    seeds = 500 if benchmark.disabled else 5_000
    suite = parse(MANY.format(seeds=seeds))
    summary = benchmark.pedantic(
        lambda: run_suite(suite, Options(out=tmp_path, workers=1, fresh=True)), rounds=1, warmup_rounds=0
    )
    assert summary.statuses == {"ok": 2 * seeds}


def test_trials_of_a_suite(benchmark):
    suite = parse(MANY.format(seeds=500))
    assert len(benchmark(trials, suite)) == 1_000


def test_planning(benchmark):
    survey = Survey(trials(parse(MANY.format(seeds=500))))
    assert len(benchmark(execution.run, survey).jobs) == 2


@pytest.mark.parametrize("count", [1, 100, 500])
def test_writing_records(benchmark, tmp_path, records, count):
    store = Store(tmp_path)
    store.create()
    writer = store.writer()
    benchmark(lambda: writer.write(records[:count]))
    assert len(store.records()) == count
