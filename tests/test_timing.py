"""Paired timing under a clock that the arms themselves move."""

import numpy as np
import pytest
import torch

from irmbench.penalty import Estimator, Loss
from irmbench.perf import timing
from irmbench.perf.timing import Case


class FakeTime:
    """Time that passes only where an arm says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def read(self) -> float:
        return self.now

    def clock(self, block: timing.Arm) -> float:
        return timing.wall_seconds(block, self.read)

    def arm(self, name: str, seconds: float) -> timing.Arm:
        def run() -> None:
            self.now += seconds
            self.log.append(name)

        return run


@pytest.fixture
def fake() -> FakeTime:
    return FakeTime()


def test_wall_seconds_reads_the_clock_around_the_block(fake: FakeTime) -> None:
    assert timing.wall_seconds(fake.arm("a", 0.25), fake.read) == 0.25


@pytest.mark.parametrize("seconds", [1e-7, 1e-4, 0.0039, 0.004, 2.0])
def test_calibration_finds_blocks_that_are_long_enough(fake: FakeTime, seconds: float) -> None:
    calls = timing.calibrate(fake.arm("a", seconds), min_block=0.004, clock=fake.clock)
    assert calls * seconds >= 0.004 * (1 - 1e-6)
    assert calls == 1 or calls * seconds < 0.01


def test_calibration_survives_a_clock_that_does_not_resolve_one_call(fake: FakeTime) -> None:
    def coarse(block: timing.Arm) -> float:
        return float(np.floor(fake.clock(block) * 1e3)) / 1e3

    calls = timing.calibrate(fake.arm("a", 1e-6), min_block=0.004, clock=coarse)
    assert calls * 1e-6 >= 0.004


def test_arms_report_seconds_a_call(fake: FakeTime) -> None:
    arms = {"slow": fake.arm("slow", 0.003), "fast": fake.arm("fast", 0.0001)}
    seconds = timing.time_arms(arms, pairs=5, clock=fake.clock)
    assert seconds["slow"] == pytest.approx(np.full(5, 0.003))
    assert seconds["fast"] == pytest.approx(np.full(5, 0.0001))


def test_every_round_runs_every_arm_once(fake: FakeTime) -> None:
    timing.time_arms({name: fake.arm(name, 1.0) for name in "abc"}, pairs=20, clock=fake.clock)
    rounds = np.array(fake.log[-60:]).reshape(20, 3)
    assert all(set(row) == set("abc") for row in rounds)


def test_order_is_random_within_rounds_and_the_seed_fixes_it(fake: FakeTime) -> None:
    arms = {name: fake.arm(name, 1.0) for name in "abc"}
    logs = []
    for seed in (0, 0, 1):
        fake.log.clear()
        timing.time_arms(arms, pairs=20, clock=fake.clock, seed=seed)
        logs.append(fake.log[-60:])
    assert logs[0] == logs[1] != logs[2]
    assert len({tuple(logs[0][i : i + 3]) for i in range(0, 60, 3)}) > 1


def test_a_drift_that_both_arms_share_leaves_the_ratio_alone(fake: FakeTime) -> None:
    drift = np.linspace(1, 10, 50)
    ratio = timing.paired_ratio(3 * drift, drift)
    assert (ratio.median, ratio.lo, ratio.hi) == pytest.approx((3, 3, 3))


def test_ratio_is_the_median_of_the_pairs() -> None:
    ratio = timing.paired_ratio(np.array([1.0, 2.0, 50.0]), np.ones(3))
    assert ratio.median == pytest.approx(2)
    assert ratio.lo <= ratio.median <= ratio.hi


def test_interval_covers_the_true_ratio_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        head, base = np.exp(0.2 * generator.standard_normal((2, 40)))
        ratio = timing.paired_ratio(1.5 * head, base, confidence=0.9, resamples=300)
        covered += ratio.lo <= 1.5 <= ratio.hi
    assert 165 <= covered <= 196  # 180 expected; the binomial's central 99.9% is about 165 to 192


def test_ratio_of_rounds_that_do_not_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="do not pair"):
        timing.paired_ratio(np.ones(3), np.ones(4))


def test_ratio_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="do not pair"):
        timing.paired_ratio(np.ones(0), np.ones(0))


@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("estimator", ["split", "ustat", "full"])
def test_fast_and_reference_arms_return_one_gradient(loss: Loss, estimator: Estimator) -> None:
    arms = timing.penalty_arms(3, 8, dtype=torch.float64, loss=loss, estimator=estimator)
    (fast,), reference = arms["fast"](), arms["reference"]()
    torch.testing.assert_close(fast, torch.stack(reference))


def test_bound_arm_adds_the_inputs_into_a_fresh_output() -> None:
    (gradient,) = timing.penalty_arms(2, 5)["bound"]()
    assert gradient.shape == (2, 5)


def test_arms_run_on_the_device_they_are_asked_for() -> None:
    (gradient,) = timing.penalty_arms(2, 5, device="meta")["fast"]()
    assert gradient.is_meta


def test_a_row_says_what_was_timed_and_how(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"fast": np.full(3, 1.0), "reference": np.full(3, 5.0), "bound": np.full(3, 0.5)}
    monkeypatch.setattr(timing, "time_arms", lambda arms, **options: seconds)
    rows, notices = timing.time_penalty(["cpu"], [Case(2, 10)], pairs=3)
    assert notices == []
    assert rows == [
        {
            "device": "cpu",
            "environments": 2,
            "n": 10,
            "dtype": "float32",
            "loss": "squared",
            "estimator": "split",
            "seconds_fast": 1.0,
            "seconds_reference": 5.0,
            "seconds_bound": 0.5,
            "speedup": pytest.approx(5),
            "speedup_lo": pytest.approx(5),
            "speedup_hi": pytest.approx(5),
            "bound_ratio": pytest.approx(2),
            "confidence": 0.99,
            "pairs": 3,
            "threads": torch.get_num_threads(),
        }
    ]


def test_an_absent_device_yields_a_line_and_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    rows, notices = timing.time_penalty(["cuda"], [Case(2, 10)], pairs=1)
    assert rows == []
    assert notices == ["CUDA: not measured, there is no such device here"]


def test_cuda_is_timed_by_events(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            log.append("record")

        def synchronize(self) -> None:
            log.append("synchronize")

        def elapsed_time(self, end: "Event") -> float:
            return 250.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    assert timing.clock_for("cuda:0")(lambda: log.append("block")) == 0.25
    assert log == ["record", "block", "record", "synchronize"]


def test_a_cpu_is_timed_by_the_wall_clock() -> None:
    assert timing.clock_for("cpu") is timing.wall_seconds


def test_operators_are_counted_forward_and_backward_and_views_are_not() -> None:
    x = torch.ones(3, requires_grad=True)
    counts = timing.count_operators(lambda: torch.autograd.grad((x.view(3, 1) * x).sum(), x))
    assert counts["aten.mul.Tensor"] == 3
    assert not any("view" in name or "expand" in name for name in counts)


@pytest.mark.parametrize("environments", [1, 10])
def test_the_fast_penalty_takes_few_operators(environments: int) -> None:
    arms = timing.penalty_arms(environments, 100)
    assert timing.count_operators(arms["fast"]).total() <= 18
    assert timing.count_operators(arms["reference"]).total() >= 29
