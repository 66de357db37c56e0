"""Verdicts on timings: the rule itself, and what it says of simulated machines."""

import numpy as np
import pytest

from irmbench.perf import regressions
from irmbench.perf.regressions import Ratio

PROCESSES, PAIRS = 4, 25


class Machine:
    """A simulated machine: load that all arms share, differences between processes, and bursts in single blocks.

    The sizes are those of a two-core virtual machine that does other work: an arm's level differs by 1% from process
    to process, a block by 4% from the next, and one block in twenty is caught by something else.
    """

    def __init__(self, seed):
        self.generator = np.random.default_rng(seed)

    def measure(self, pairs=PAIRS, **slowdowns):
        """Return the seconds of each named arm, `[processes, pairs]`, of a kernel times its slowdown."""
        shape = (PROCESSES, pairs)
        load = np.exp(0.3 * self.generator.standard_normal(shape))
        return {arm: 1e-4 * slowdown * load * self._disturbance(shape) for arm, slowdown in slowdowns.items()}

    def _disturbance(self, shape):
        process = 0.01 * self.generator.standard_normal((shape[0], 1))
        bursts = self.generator.exponential(0.5, shape) * (self.generator.random(shape) < 0.05)
        return np.exp(process + 0.04 * self.generator.standard_normal(shape) + bursts)


def verdict(machine, slowdown):
    """Return the verdict on a kernel that takes ``slowdown`` times its base, rerun where the rule asks for it."""

    def once(pairs):
        seconds = machine.measure(pairs, fast=slowdown, same=slowdown, base=1.0)
        delta = regressions.tolerance(regressions.ratio(seconds["same"], seconds["fast"]))
        return regressions.judge(regressions.ratio(seconds["fast"], seconds["base"]), delta)

    first = once(PAIRS)
    return regressions.confirm(first, once(2 * PAIRS)) if regressions.needs_rerun(first) else first


def verdicts(slowdown, runs=20):
    return [verdict(Machine(seed), slowdown) for seed in range(runs)]


def test_the_same_code_is_never_called_regressed_or_improved():
    assert set(verdicts(1.0)) <= {"ok", "inconclusive"}


def test_a_slowdown_of_a_quarter_is_always_caught():
    assert set(verdicts(1.25)) == {"regressed"}


def test_a_slowdown_of_a_tenth_is_caught():
    found = verdicts(1.10)
    assert set(found) <= {"regressed", "inconclusive"}
    assert found.count("regressed") >= 18


def test_a_speedup_of_a_quarter_is_called_improved():
    assert set(verdicts(0.75)) == {"improved"}


def test_a_ratio_is_the_median_over_all_pairs():
    numerator = np.array([[1.0, 2.0, 8.0], [2.0, 2.0, 1.0]])
    found = regressions.ratio(numerator, np.ones((2, 3)))
    assert found.median == pytest.approx(2)
    assert found.low <= found.median <= found.high


def test_load_that_both_arms_share_leaves_the_ratio_alone():
    load = np.linspace(1, 10, 20).reshape(4, 5)
    assert regressions.ratio(1.5 * load, load) == pytest.approx((1.5, 1.5, 1.5))


def test_the_interval_covers_what_differs_between_processes():
    processes = np.array([0.9, 1.0, 1.0, 1.1])[:, None] * np.ones((4, 1000))
    found = regressions.ratio(processes, np.ones((4, 1000)))
    assert (found.low, found.high) == pytest.approx((0.9, 1.1), abs=0.06)


def test_the_interval_of_one_process_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(0)
    intervals = [regressions.ratio(np.exp(generator.standard_normal((1, 50))), np.ones((1, 50))) for _ in range(200)]
    assert sum(found.low <= 1 <= found.high for found in intervals) >= 190  # 198 expected


def test_the_interval_is_the_same_every_time():
    numerator = np.random.default_rng(0).uniform(1, 2, (4, 25))
    assert regressions.ratio(numerator, np.ones((4, 25))) == regressions.ratio(numerator, np.ones((4, 25)))


@pytest.mark.parametrize(
    ("numerator", "denominator"),
    [(np.ones((2, 3)), np.ones((3, 2))), (np.ones(3), np.ones(3)), (np.ones((0, 3)), np.ones((0, 3)))],
)
def test_timings_that_do_not_pair_are_refused(numerator, denominator):
    with pytest.raises(ValueError, match="do not pair"):
        regressions.ratio(numerator, denominator)


def test_timings_that_are_not_positive_are_refused():
    with pytest.raises(ValueError, match="not positive"):
        regressions.ratio(np.zeros((1, 2)), np.ones((1, 2)))


def test_two_records_are_compared_over_what_they_share():
    head, base = np.log(np.full((4, 10), 0.3)), np.log(np.full((3, 20), 0.2))
    assert regressions.ratio_between(head, base) == pytest.approx((1.5, 1.5, 1.5))


def test_two_records_of_the_same_code_are_not_told_apart():
    def logs(seed):
        seconds = Machine(seed).measure(fast=1.0, reference=5.0)
        return regressions.paired_logs(seconds["fast"], seconds["reference"])

    found = [regressions.ratio_between(logs(seed), logs(seed + 100)) for seed in range(20)]
    assert {regressions.judge(ratio, regressions.SMALLEST) for ratio in found} <= {"ok", "inconclusive"}


@pytest.mark.parametrize(
    ("same", "delta"),
    [((1.0, 0.99, 1.01), 0.03), ((1.02, 1.0, 1.08), 0.08), ((0.98, 0.9, 1.0), 0.1), ((1.05, 1.04, 1.06), 0.06)],
)
def test_the_tolerance_is_what_two_copies_differ_by_but_at_least_three_percent(same, delta):
    assert regressions.tolerance(Ratio(*same)) == pytest.approx(delta)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.06, 1.2, "regressed"),
        (1.04, 1.2, "inconclusive"),
        (0.8, 0.94, "improved"),
        (0.8, 0.96, "inconclusive"),
        (0.96, 1.04, "ok"),
        (0.9, 1.1, "inconclusive"),
    ],
)
def test_a_verdict_is_where_the_interval_lies(low, high, expected):
    assert regressions.judge(Ratio((low * high) ** 0.5, low, high), 0.05) == expected


@pytest.mark.parametrize(
    ("first", "again", "expected"),
    [
        ("regressed", "regressed", "regressed"),
        ("improved", "improved", "improved"),
        ("regressed", "ok", "inconclusive"),
        ("regressed", "improved", "inconclusive"),
        ("improved", "inconclusive", "inconclusive"),
    ],
)
def test_a_rerun_must_repeat_the_verdict(first, again, expected):
    assert regressions.confirm(first, again) == expected


def test_only_changes_are_run_again():
    assert [v for v in ("regressed", "improved", "ok", "inconclusive") if regressions.needs_rerun(v)] == [
        "regressed",
        "improved",
    ]


def test_the_worst_verdict_is_that_of_all():
    assert regressions.worst(["ok", "improved", "regressed", "inconclusive"]) == "regressed"
    assert regressions.worst(["ok", "inconclusive", "improved"]) == "inconclusive"
    assert regressions.worst(["ok", "improved"]) == "improved"
    assert regressions.worst([]) == "ok"
