"""One fresh process of a measurement: reads a plan from standard input, times it, and writes what it found.

`python -m irmbench.perf.worker`: the plan (see `penalty_times.measure`) and the findings are JSON, the latter the
last line on standard output.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import accumulate
from types import ModuleType
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from irmbench.penalty import irm_penalty
from irmbench.perf.timing import (
    Arm,
    Case,
    calibrate,
    clock_for,
    count_operators,
    penalty_arms,
    repeated,
    time_arms,
    wall_seconds,
)

Kernel = Callable[..., torch.Tensor]  # called as irm_penalty is

THREADS = 1  # several wait for one another on a machine that does anything else
MIN_BLOCK = 0.004  # seconds
COUNTED = ("fast", "reference")  # arms whose operators and memory are counted


def main() -> None:
    """Run the plan on standard input."""
    torch.set_num_threads(THREADS)
    plan = json.load(sys.stdin)
    kernels = {name: load_kernel(name, source) for name, source in plan["kernels"].items()}
    cases = [(Case(**case), pairs) for case, pairs in plan["cases"]]
    options = {"device": plan["device"], "seed": plan["seed"]}
    print(json.dumps([measure_case(case, pairs, kernels, **options) for case, pairs in cases]))


def quiet_clock(schedule: str = "/proc/self/schedstat") -> Callable[[], float]:
    """Return what reads the seconds that would have passed, had this thread never queued for a core.

    On a busy machine a block waits for longer than it runs. Processor time leaves that out too, and is read where the
    kernel does not tell; but it also leaves out what a kernel itself spends asleep or waiting for other threads.
    """
    try:
        file = os.open(schedule, os.O_RDONLY)
    except OSError:
        return time.process_time
    if not int(os.pread(file, 64, 0).split()[0]):  # nanoseconds run: no statistics are kept
        return time.process_time

    def queued() -> int:
        return int(os.pread(file, 64, 0).split()[1])  # nanoseconds

    def read() -> float:
        before = queued()
        while True:
            now = time.perf_counter()
            if before == (after := queued()):
                return now - 1e-9 * after
            before = after  # the thread lost its core between the two readings, which then do not belong together

    return read


def load_kernel(name: str, source: str) -> Kernel:
    """Return irm_penalty of a revision's penalty.py, loaded beside the package's under a module name of its own."""
    module = ModuleType(f"irmbench_penalty_{name}")
    sys.modules[module.__name__] = module  # where dataclasses and pickles look for their module
    exec(compile(source, f"{name}/penalty.py", "exec"), module.__dict__)
    kernel: Kernel = module.irm_penalty
    return kernel


def measure_case(case: Case, pairs: int, kernels: Mapping[str, Kernel], device: str, seed: int) -> dict[str, Any]:
    """Return the seconds of each arm, `[pairs]`, and what is counted without noise."""
    what: dict[str, Any] = {"loss": case.loss, "estimator": case.estimator, "device": device, "seed": seed}
    arms: dict[str, Arm] = {**penalty_arms(case.environments, case.n, dtype=getattr(torch, case.dtype), **what)}
    arms |= kernel_arms(case, {"fast": irm_penalty, **kernels}, device, seed)
    clock = partial(wall_seconds, read=quiet_clock()) if device == "cpu" else clock_for(device)
    # Kernels make the same number of calls in a block: the first call of a block, on caches that another arm has
    # filled, is a slow one, and counts for more among fewer.
    calls = {name: calibrate(arms[name], min_block=MIN_BLOCK, clock=clock) for name in ("fast", "reference", "bound")}
    calls |= dict.fromkeys(kernels, calls["fast"])
    blocks = {name: repeated(arm, calls[name]) for name, arm in arms.items()}
    seconds = time_arms(blocks, pairs=pairs, min_block=0, clock=clock, seed=seed)
    return {
        "seconds": {name: (values / calls[name]).tolist() for name, values in seconds.items()},
        "operators": dict(sorted(count_operators(arms["fast"]).items())),
        "peak_bytes": {arm: peak_bytes(arms[arm], device) for arm in COUNTED},
    }


def kernel_arms(case: Case, kernels: Mapping[str, Kernel], device: str, seed: int) -> dict[str, Arm]:
    """Return an arm a kernel, each a forward and a backward pass, over the very same tensors.

    Where a tensor lies in memory changes its speed, and by more than a regression that is to be found.
    """
    dtype = getattr(torch, case.dtype)
    generator = torch.Generator().manual_seed(seed)
    f, y = torch.randn(2, case.environments, case.n, dtype=dtype, generator=generator).to(device)
    y = (y > 0).to(dtype) if case.loss == "logistic" else y
    f, ones = f.clone().requires_grad_(), torch.ones(case.environments, dtype=dtype, device=device)

    def arm(kernel: Kernel) -> Arm:
        return lambda: torch.autograd.grad(kernel(f, y, loss=case.loss, estimator=case.estimator), f, ones)

    return {name: arm(kernel) for name, kernel in kernels.items()}


def peak_bytes(arm: Arm, device: str) -> int:
    """Return the most memory that a call of the arm holds at once beyond what was held before it."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        arm()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        arm()
    events = profiled.profiler.kineto_results.events()
    # Allocations are positive and releases negative, in the order they happened.
    return max(accumulate((int(event.nbytes()) for event in events if event.name() == "[memory]"), initial=0))


if __name__ == "__main__":
    main()
