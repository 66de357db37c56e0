"""Progress is of work, not of trials, so that the time left is that of what is left."""

import contextlib
import io

import pytest

from irmbench.runs import execution
from irmbench.runs.planning import Survey, plan
from irmbench.runs.progress import Progress
from irmbench.suite import parse, trials


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when a test says so."""
    now = [0.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    return now


@contextlib.contextmanager
def on_a_terminal(number):
    """Progress of a number of trials, as a terminal shows it."""
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    with contextlib.redirect_stderr(terminal), Progress(number) as progress:
        yield progress


def test_the_time_left_follows_from_the_rate_of_work_since_planning(clock):
    with on_a_terminal(1_000) as progress:
        clock[0] = 60  # planning
        progress.plan(100.0)
        clock[0] = 70
        progress.count(900)  # of closed forms
        progress.advance(20.0)
        assert progress.bar.format_dict["elapsed"] == 10
        assert "00:10<00:40" in str(progress.bar)
        assert "900 of 1,000 trials" in str(progress.bar)


def test_work_that_is_planned_later_adds_to_what_is_left(clock):
    with on_a_terminal(10) as progress:
        progress.plan(50.0)
        clock[0] = 10
        progress.advance(50.0)
        progress.plan(100.0)
        assert "00:10<00:20" in str(progress.bar)


def test_in_a_log_it_is_a_line_a_minute(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr("irmbench.runs.progress.time.monotonic", lambda: now[0])
    with Progress(1_000) as progress:
        progress.plan(100.0)
        for second in (30, 61, 90):
            now[0] = second
            progress.count(100)
            progress.advance(10.0)
    assert capsys.readouterr().err == "20% 200 of 1,000 trials [01:01<04:04]\n"


def test_a_long_training_is_more_work_than_many_closed_forms():
    def work(method, solver, seeds):
        text = f'name = "w"\nseeds = {seeds}\n[[experiments]]\ndatasets = ["irm_appendix_d"]\nmethods = ["{method}"]\n'
        return sum(job.work for job in plan(trials(parse(text + f"solvers = [{solver}]\n"))))

    trained = work("vrex", '{ name = "official", steps = 10_000 }', 2)
    assert trained > 2 * work("erm", '"converged"', 200)
    assert work("vrex", '{ name = "official", steps = 20_000 }', 2) == pytest.approx(2 * trained, rel=0.1)


def test_halves_of_a_job_share_its_work():
    text = 'name = "w"\nseeds = 5\n[[experiments]]\ndatasets = ["irm_appendix_d"]\nmethods = ["erm"]\n'
    (job,) = execution.run(Survey(trials(parse(text)))).jobs
    first, second = job.halves()
    assert first.work + second.work == pytest.approx(job.work)
    assert first.trials + second.trials == job.trials
