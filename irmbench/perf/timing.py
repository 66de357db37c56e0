"""Paired timing: arms run interleaved in one process, so that what disturbs one disturbs the other.

An arm is a function without arguments. `time_arms` runs every arm once a round, in random order, in blocks long enough
for the clock; ratios are taken within rounds, because absolute seconds on a shared machine are only decoration.
"""

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from irmbench.penalty import Estimator, Loss, irm_penalty, reference_penalty

Arm = Callable[[], object]
Clock = Callable[[Arm], float]  # runs a block and returns the seconds it took
Seconds = NDArray[np.float64]


@dataclass(frozen=True)
class Ratio:
    """A median ratio with its percentile bootstrap interval over pairs."""

    median: float
    lo: float
    hi: float


@dataclass(frozen=True)
class Case:
    """What one row of a timing table times."""

    environments: int
    n: int  # examples an environment
    dtype: str = "float32"  # "float32" or "float64"
    loss: Loss = "squared"
    estimator: Estimator = "split"  # the notebook's


# The notebook's step among sizes that show the growth in n; a few seconds in all.
QUICK_CASES = (*(Case(2, n) for n in (100, 1_000, 10_000, 100_000)), Case(10, 10_000), Case(1, 1_000_000))


def wall_seconds(block: Arm, read: Callable[[], float] = time.perf_counter) -> float:
    """Run the block and return the seconds that `read` counted."""
    start = read()
    block()
    return read() - start


def cuda_seconds(block: Arm) -> float:
    """Run the block and return the seconds between CUDA events around it, on the current stream."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    block()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1e3  # from milliseconds


def clock_for(device: str) -> Clock:
    """Return the clock that sees the end of the device's work."""
    return cuda_seconds if torch.device(device).type == "cuda" else wall_seconds


def calibrate(arm: Arm, *, min_block: float, clock: Clock) -> int:
    """Return how many calls of the arm last at least `min_block` seconds; the calls made here are its warm-up."""
    calls = 1
    clock(arm)
    while (seconds := clock(repeated(arm, calls))) < min_block:
        # At most ten times more at once: a first block is noisy, and a clock may not resolve it at all.
        calls = min(10 * calls, max(calls + 1, math.ceil(1.2 * calls * min_block / max(seconds, 1e-9))))
    return calls


def time_arms(
    arms: Mapping[str, Arm], *, pairs: int = 100, min_block: float = 0.004, clock: Clock = wall_seconds, seed: int = 0
) -> dict[str, Seconds]:
    """Return the seconds a call of every arm, `[pairs]` each: entry i of all arms was measured in the same round."""
    order = random.Random(seed)
    blocks = {}
    for name, arm in arms.items():
        calls = calibrate(arm, min_block=min_block, clock=clock)
        blocks[name] = calls, repeated(arm, calls)
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(pairs):
        for name in order.sample(list(arms), len(arms)):
            calls, block = blocks[name]
            seconds[name].append(clock(block) / calls)
    return {name: np.array(values) for name, values in seconds.items()}


def paired_ratio(
    numerator: Seconds, denominator: Seconds, *, confidence: float = 0.99, resamples: int = 2000, seed: int = 0
) -> Ratio:
    """Return the median of the ratios within pairs, taken in logs, and its bootstrap interval: two `[pairs]` arrays.

    Raises ValueError where the arms do not pair or hold nothing.
    """
    if numerator.shape != denominator.shape or not numerator.size:
        raise ValueError(f"timings do not pair: {numerator.size} and {denominator.size} rounds")
    logs = np.log(numerator) - np.log(denominator)
    draws = np.random.default_rng(seed).integers(len(logs), size=(resamples, len(logs)))
    tail = 50 * (1 - confidence)
    lo, hi = np.exp(np.percentile(np.median(logs[draws], axis=1), [tail, 100 - tail]))
    return Ratio(float(np.exp(np.median(logs))), float(lo), float(hi))


def penalty_arms(
    environments: int,
    n: int,
    *,
    dtype: torch.dtype = torch.float32,
    loss: Loss = "squared",
    estimator: Estimator = "split",
    device: str = "cpu",
    seed: int = 0,
) -> dict[str, Callable[[], tuple[Tensor, ...]]]:
    """Return three arms over the same data, each a forward and a backward pass through autograd.

    `fast` is irm_penalty on `[environments, n]`, `reference` the double backward of one environment after another, and
    `bound` the bytes that must move: a dot of the inputs, then an addition into a fresh output.
    """
    generator = torch.Generator().manual_seed(seed)
    f, y = (torch.randn(environments, n, dtype=dtype, generator=generator) for _ in range(2))
    y = (y > 0).to(dtype) if loss == "logistic" else y
    f, y = f.to(device).requires_grad_(), y.to(device)
    rows = [row.detach().clone().requires_grad_() for row in f]
    ones = torch.ones(environments, dtype=dtype, device=device)

    def fast() -> tuple[Tensor, ...]:
        return torch.autograd.grad(irm_penalty(f, y, loss=loss, estimator=estimator), f, ones)

    def reference() -> tuple[Tensor, ...]:
        penalties = [reference_penalty(row, t, loss=loss, estimator=estimator) for row, t in zip(rows, y, strict=True)]
        return torch.autograd.grad(penalties, rows, list(ones))

    def bound() -> tuple[Tensor, ...]:
        return torch.autograd.grad(_Stream.apply(f, y), f)  # type: ignore[no-untyped-call]

    return {"fast": fast, "reference": reference, "bound": bound}


def time_penalty(
    devices: Iterable[str] = ("cpu", "cuda"),
    cases: Sequence[Case] = QUICK_CASES,
    pairs: int = 100,
    *,
    min_block: float = 0.004,
    confidence: float = 0.99,
    seed: int = 0,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return a row a device and case, and one line for every device that is not there and has no rows.

    A row holds the fields of the case, device, threads, pairs, confidence, each arm's median seconds a call
    (seconds_fast, seconds_reference, seconds_bound), the ratio of reference to fast (speedup, speedup_lo, speedup_hi)
    and of fast to bound (bound_ratio).
    """
    rows, notices = [], []
    for device in devices:
        if torch.device(device).type == "cuda" and not torch.cuda.is_available():
            notices.append(f"{device.upper()}: not measured, there is no such device here")
            continue
        for case in cases:
            seconds = _time_case(case, device, pairs, min_block, seed)
            rows.append({"device": device} | asdict(case) | _summary(seconds, confidence))
    return rows, notices


def count_operators(fn: Arm) -> Counter[str]:
    """Return how often fn, backward passes included, calls each ATen operator; `.total()` is the count.

    Operators that only make a view are left out: they touch no data.
    """
    counting = _Counting()
    with counting:
        fn()
    return counting.counts


def repeated(arm: Arm, calls: int) -> Arm:
    """Return an arm that calls another so many times."""

    def block() -> None:
        for _ in range(calls):
            arm()

    return block


def _time_case(case: Case, device: str, pairs: int, min_block: float, seed: int) -> dict[str, Seconds]:
    arms = penalty_arms(
        case.environments,
        case.n,
        dtype=getattr(torch, case.dtype),
        loss=case.loss,
        estimator=case.estimator,
        device=device,
        seed=seed,
    )
    return time_arms(arms, pairs=pairs, min_block=min_block, clock=clock_for(device), seed=seed)


def _summary(seconds: dict[str, Seconds], confidence: float) -> dict[str, Any]:
    speedup = paired_ratio(seconds["reference"], seconds["fast"], confidence=confidence)
    return {
        **{f"seconds_{arm}": float(np.median(values)) for arm, values in seconds.items()},
        "speedup": speedup.median,
        "speedup_lo": speedup.lo,
        "speedup_hi": speedup.hi,
        "bound_ratio": paired_ratio(seconds["fast"], seconds["bound"], confidence=confidence).median,
        "confidence": confidence,
        "pairs": len(seconds["fast"]),
        "threads": torch.get_num_threads(),
    }


class _Stream(torch.autograd.Function):
    """What `bound` runs: reads both inputs forward and again backward, and writes one output."""

    @staticmethod
    def forward(ctx: Any, f: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(f, y)
        return torch.dot(f.view(-1), y.view(-1))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        f, y = ctx.saved_tensors
        return torch.add(f, y), None


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not func.is_view:
            self.counts[str(func)] += 1
        return func(*args, **(kwargs or {}))
