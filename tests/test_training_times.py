"""The times of the training step: growth exponents, ratios, and small measurements for real."""

import dataclasses

import msgspec
import numpy as np
import pytest
from perf_support import training

from irmbench.engine import descent
from irmbench.perf import penalty_times, training_times
from irmbench.perf.training_times import GROWTH, SIZES, Compilation, OneSeed, Size, Step


def grown(**powers):
    """Return measurements whose median seconds are the product of these powers of the sizes."""
    seconds = [
        1e-6 * np.prod([float(getattr(size, axis)) ** power for axis, power in powers.items()]) for size in SIZES
    ]
    steps = [Step(size, [0.5 * s, s, 9 * s]) for size, s in zip(SIZES, seconds, strict=True)]
    return dataclasses.replace(training(), steps=steps)


def test_the_exponents_of_power_laws_are_recovered():
    powers = {"trials": 0.5, "n": 0.0, "d": 2.0, "environments": 1.25}
    assert grown(**powers).exponents == pytest.approx(powers, abs=1e-9)


def test_what_was_not_varied_has_no_exponent():
    found = grown(d=1.0)
    steps = [step for step in found.steps if step.size.n == Size().n and step.size.trials == Size().trials]
    assert set(dataclasses.replace(found, steps=steps).exponents) == {"d", "environments"}


def test_sizes_differ_in_one_thing_from_the_usual_one():
    usual = Size()
    assert usual in SIZES
    assert len(set(SIZES)) == len(SIZES)
    assert all(sum(getattr(size, axis) != getattr(usual, axis) for axis in GROWTH) <= 1 for size in SIZES)


def test_the_ratio_is_taken_within_rounds():
    drift = np.array([1.0, 2.0, 10.0])
    found = OneSeed((3e-3 * drift).tolist(), (1e-3 * drift).tolist(), "NumPy", setup=0.0)
    assert (found.speedup.median, found.speedup.lo, found.speedup.hi) == pytest.approx((3, 3, 3))


def test_the_ratio_over_all_steps_counts_the_setup():
    found = OneSeed([2e-3], [2e-5], "NumPy", setup=9.0)
    assert found.whole_speedup == pytest.approx(50_000 * 2e-3 / (50_000 * 2e-5 + 9))


def test_a_step_is_timed_for_every_size():
    sizes = [Size(trials=2, n=10), Size(trials=1, n=10, d=3, environments=2)]
    found = training_times.time_steps(sizes, pairs=2, min_block=0)
    assert [step.size for step in found] == sizes
    assert all(len(step.seconds) == 2 and min(step.seconds) > 0 and np.isfinite(step.seconds).all() for step in found)


def test_the_notebooks_loop_and_the_engines_are_timed_side_by_side():
    found = training_times.time_one_seed(steps=10, pairs=2, min_block=0)
    assert found.runs_on == "NumPy"
    times = np.array([*found.notebook, *found.engine, found.setup])
    assert len(times) == 5
    assert np.isfinite(times).all()
    assert times.min() > 0


def test_a_machine_that_cannot_compile_times_the_traced_loop(monkeypatch):
    monkeypatch.setattr(descent, "compile_trace", lambda *arguments: None)
    found = training_times.time_compilation(trials=20, pairs=2, min_block=0)
    assert not found.possible
    assert min(found.compiled) > 0


def test_compiling_pays_once_it_has_saved_its_time():
    assert Compilation(200, [4e-4], [1e-4], 9.0, possible=True).break_even == pytest.approx(30_000)
    assert Compilation(200, [1e-4], [1e-4], 9.0, possible=True).break_even == np.inf


def test_a_fresh_process_is_asked_and_its_answer_read(monkeypatch):
    def answer(plan, module):
        assert module == "irmbench.perf.training_times"
        return msgspec.to_builtins(training())

    monkeypatch.setattr(penalty_times, "fresh_process", answer)
    assert training_times.measure() == training()
