"""Measurements as a machine without noise would make them."""

import numpy as np

from irmbench.perf import regressions
from irmbench.perf.penalty_times import Decision, Measurement
from irmbench.perf.timing import Case
from irmbench.perf.training_times import SIZES, Compilation, OneSeed, Step, Training

STEP, SMALL = Case(2, 10_000), Case(2, 100)
OPERATORS = {"aten.mul.Tensor": 2, "aten.sub.Tensor": 1}


def measurement(case=STEP, shape=(3, 4), **seconds):
    """Return a measurement whose arms take 1 (fast), 5 (reference) and 0.5 seconds (bound), unless told otherwise."""
    arms = {"fast": 1.0, "reference": 5.0, "bound": 0.5, **seconds}
    filled = {arm: np.full(shape, value) for arm, value in arms.items()}
    return Measurement(case, filled, dict(OPERATORS), {"fast": 100, "reference": 700})


def decision(case=STEP, slowdown=1.0, verdict="ok"):
    """Return the decision of a check that found a slowdown."""
    found = measurement(case, base=1 / slowdown, same=1.0)
    return Decision(found, found.ratio("fast", "base"), regressions.SMALLEST, verdict)


def training(possible=True):
    """Return a training step that grows as d^2 and as trials and environments, and ratios of 100, and of 50 in all."""
    steps = [Step(size, [1e-9 * size.trials * size.d**2 * size.environments] * 3) for size in SIZES]
    compilation = Compilation(200, [4e-4] * 3, [1e-4] * 3, 9.0, possible)
    return Training(steps, OneSeed([2e-3] * 3, [2e-5] * 3, "NumPy", setup=1.0), compilation)
