"""Timing the training step of the batched engine: how it grows, and one seed of the notebook against the notebook.

`python -m irmbench.perf.training_times` is the fresh process that `measure` starts: it compiles first, with nothing of
that cached, and writes a `Training` as JSON, the last line on standard output.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

import msgspec
import numpy as np
import torch

from irmbench.engine.descent import COMPILE_FROM, Loop
from irmbench.perf import penalty_times
from irmbench.perf.regressions import LEVEL
from irmbench.perf.timing import Arm, Ratio, Seconds, paired_ratio, time_arms, wall_seconds
from irmbench.perf.training_loops import STEPS, Size, notebook_batch, notebook_loop, sized_batch
from irmbench.perf.worker import THREADS, quiet_clock

CALL = 100  # steps of the engine in a call that is timed against the notebook
MIN_BLOCK = 0.02  # seconds

# One thing at a time, the others as `Size` has them.
GROWTH = {
    "trials": (1, 100, 1_000, 10_000),
    "n": (100, 1_000, 10_000),
    "d": (11, 22, 44, 88),
    "environments": (3, 6, 12, 24),
}
SIZES = tuple(dict.fromkeys(replace(Size(), **{axis: x}) for axis, xs in GROWTH.items() for x in xs))


@dataclass(frozen=True)
class Step:
    """The seconds that one step of all trials took, in every round."""

    size: Size
    seconds: list[float]

    @property
    def median(self) -> float:
        """The median of the seconds."""
        return float(np.median(self.seconds))


@dataclass(frozen=True)
class OneSeed:
    """The notebook's experiment for one seed: seconds a step of its own loop and of the engine's, in every round."""

    notebook: list[float]
    engine: list[float]
    runs_on: str  # what takes the engine's steps
    setup: float  # seconds until the engine's first call has returned: tracing, and the call

    @property
    def speedup(self) -> Ratio:
        """How many times as fast a step of the engine is, with an interval over rounds."""
        return paired_ratio(np.array(self.notebook), np.array(self.engine), confidence=LEVEL)

    @property
    def whole_speedup(self) -> float:
        """The same of all `STEPS` with the setup, computed from their times."""
        notebook, engine = np.median(self.notebook), np.median(self.engine)
        return float(STEPS * notebook / (STEPS * engine + self.setup))


@dataclass(frozen=True)
class Compilation:
    """What compiling costs and saves: seconds a step of many trials as traced and as compiled, in every round."""

    trials: int
    traced: list[float]
    compiled: list[float]
    setup: float  # seconds until the compiled loop's first call has returned
    possible: bool  # False where the machine cannot compile: both loops are then the traced one

    @property
    def speedup(self) -> Ratio:
        """How many times as fast a compiled step is, with an interval over rounds."""
        return paired_ratio(np.array(self.traced), np.array(self.compiled), confidence=LEVEL)

    @property
    def break_even(self) -> float:
        """The steps from which compiling takes less time than it saves; infinite if it saves none."""
        saved = float(np.median(self.traced) - np.median(self.compiled))
        return self.setup / saved if saved > 0 else float("inf")


@dataclass(frozen=True)
class Training:
    """What was measured."""

    steps: list[Step]
    one_seed: OneSeed
    compilation: Compilation
    threads: int = THREADS

    def along(self, axis: str) -> list[Step]:
        """Return the steps that differ from the standard size in ``axis`` alone, smallest first."""
        base = {axis: getattr(Size(), axis)}
        along = [step for step in self.steps if replace(step.size, **base) == Size()]
        return sorted(along, key=lambda step: int(getattr(step.size, axis)))

    @property
    def exponents(self) -> dict[str, float]:
        """The least-squares slopes of log seconds in the log of each thing that was varied by itself."""
        slopes = {}
        for axis in GROWTH:
            sizes = {getattr(step.size, axis): step.median for step in self.along(axis)}
            if len(sizes) > 1:
                slopes[axis] = float(np.polyfit(np.log(list(sizes)), np.log(list(sizes.values())), 1)[0])
        return slopes


def measure() -> Training:
    """Return what a fresh process measures, in about half a minute."""
    return msgspec.convert(penalty_times.fresh_process({}, "irmbench.perf.training_times"), Training)


def time_one_seed(steps: int = STEPS, pairs: int = 100, min_block: float = MIN_BLOCK) -> OneSeed:
    """Return the times of both loops."""
    run, batch = notebook_loop(), notebook_batch(steps=steps)
    start = time.perf_counter()
    loop = Loop(batch)
    loop.run(CALL)
    setup = time.perf_counter() - start
    arms: dict[str, Arm] = {"notebook": partial(run, 1), "engine": partial(_advance, loop, CALL)}
    seconds = _time(arms, pairs, min_block)
    return OneSeed(seconds["notebook"].tolist(), (seconds["engine"] / CALL).tolist(), loop.runs_on, setup)


def time_compilation(trials: int = 200, pairs: int = 50, min_block: float = MIN_BLOCK) -> Compilation:
    """Return the times of a traced and of a compiled loop, the latter in a process that has compiled nothing yet."""
    size = Size(trials=trials)
    traced = Loop(sized_batch(size))
    start = time.perf_counter()
    compiled = Loop(sized_batch(size, steps=COMPILE_FROM))
    compiled.run(CALL)
    setup = time.perf_counter() - start
    arms: dict[str, Arm] = {name: partial(_advance, loop, CALL) for name, loop in (("t", traced), ("c", compiled))}
    seconds = {name: (values / CALL).tolist() for name, values in _time(arms, pairs, min_block).items()}
    return Compilation(trials, seconds["t"], seconds["c"], setup, compiled.runs_on == "compiled code")


def time_steps(sizes: Iterable[Size] = SIZES, pairs: int = 15, min_block: float = MIN_BLOCK) -> list[Step]:
    """Return the times of a step of each size, all interleaved."""
    arms: dict[Size, Arm] = {size: partial(_advance, Loop(sized_batch(size)), 1) for size in sizes}
    seconds = _time({str(size): arm for size, arm in arms.items()}, pairs, min_block)
    return [Step(size, seconds[str(size)].tolist()) for size in arms]


def main() -> None:
    """Measure, and write what was found."""
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        compilation = time_compilation()
    print(msgspec.json.encode(Training(time_steps(), time_one_seed(), compilation)).decode())


def _advance(loop: Loop, steps: int) -> None:
    loop.run(loop.done + steps)


def _time(arms: dict[str, Arm], pairs: int, min_block: float) -> dict[str, Seconds]:
    clock = partial(wall_seconds, read=quiet_clock())
    return time_arms(arms, pairs=pairs, min_block=min_block, clock=clock)


if __name__ == "__main__":
    main()
