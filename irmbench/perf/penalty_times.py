"""Timing the penalty: the grid of cases, measurements in fresh processes, and the check against another revision.

Every process measures every case with all its arms interleaved; see `timing.time_arms`. The arms are `fast` (the
working tree's irm_penalty), `reference` (double backward), `bound` (the bytes that must move), and of a check also
`base` (the other revision's irm_penalty) and `same` (a second copy of `fast`, loaded as `base` is).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

import irmbench
from irmbench.errors import UserError
from irmbench.perf import regressions
from irmbench.perf.regressions import Array, Ratio, Verdict
from irmbench.perf.timing import QUICK_CASES, Case

PROCESSES = 4
PAIRS = 25  # a process
LARGE = 4_000_000  # examples of a case that takes about a second a round, and is measured in fewer
PACKAGE = Path(irmbench.__file__).parent

STEP = Case(2, 10_000)  # the notebook's
# What differs from the notebook's step in one thing at a time, and sizes that show the growth in n.
GRID = (
    *QUICK_CASES,
    Case(1, 10_000),
    Case(10, 100),
    Case(10, 100_000),
    Case(200, 100),  # 100 trials of two environments, batched
    Case(2, 10_000, dtype="float64"),
    Case(2, 10_000, loss="logistic"),
    Case(2, 10_000, estimator="ustat"),
    Case(2, 10_000, estimator="full"),
    Case(1, 10_000_000),
)


class NothingComparableError(Exception):
    """There is nothing to measure against; the message is one line."""


@dataclass(frozen=True)
class Measurement:
    """What was measured of one case."""

    case: Case
    seconds: dict[str, Array]  # of each arm, [processes, pairs]
    operators: dict[str, int]  # calls of each ATen operator in one call of `fast`
    peak_bytes: dict[str, int]  # of `fast` and `reference`

    def ratio(self, numerator: str, denominator: str) -> Ratio:
        """Return the ratio of two arms."""
        return regressions.ratio(self.seconds[numerator], self.seconds[denominator])


@dataclass(frozen=True)
class Decision:
    """The verdict on one case: head / base, judged by the tolerance measured along with it."""

    measurement: Measurement
    ratio: Ratio
    tolerance: float
    verdict: Verdict


def case_id(case: Case) -> str:
    """Return the name of a case in records and in tests/benchmarks."""
    return f"{case.environments}x{case.n}-{case.loss}-{case.estimator}-{case.dtype}"


def label(case: Case) -> str:
    """Return what a table calls a case: its sizes, and what else differs from the notebook's step."""
    kinds = [(case.dtype, STEP.dtype), (case.loss, STEP.loss), (case.estimator, STEP.estimator)]
    return " ".join([f"{case.environments} × {case.n:,}", *(kind for kind, usual in kinds if kind != usual)])


def require(device: str) -> None:
    """Raise NothingComparableError where the device is not there."""
    if device == "cuda" and not torch.cuda.is_available():
        raise NothingComparableError("CUDA: not measured, there is no such device here")


def revision(ref: str) -> str:
    """Return the id of the commit that ``ref`` names in the package's repository, or raise UserError."""
    found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if found.returncode:
        raise UserError(f"--base {ref}: no such revision in a repository of {PACKAGE}")
    return found.stdout.strip()


def kernel_source(commit: str | None = None) -> str:
    """Return the source of penalty.py in the working tree, or in a commit; NothingComparableError if it has none."""
    if commit is None:
        return (PACKAGE / "penalty.py").read_text(encoding="utf-8")
    shown = _git("show", f"{commit}:./penalty.py")
    if shown.returncode:
        raise NothingComparableError(f"nothing comparable: {commit[:12]} has no {PACKAGE.name}/penalty.py")
    return shown.stdout


def measure(
    cases: Sequence[Case], device: str = "cpu", kernels: Mapping[str, str] | None = None, factor: int = 1
) -> list[Measurement]:
    """Return a measurement of each case, from ``PROCESSES`` fresh processes one after another.

    kernels: the sources of further arms by name. factor: multiplies the pairs.
    """
    plan = {
        "cases": [(asdict(case), factor * _pairs(case)) for case in cases],
        "device": device,
        "kernels": dict(kernels or {}),
    }
    # `disable=None`: quiet where standard error is no terminal.
    found = [fresh_process(plan | {"seed": seed}) for seed in tqdm(range(PROCESSES), unit="process", disable=None)]
    return [_measurement(case, parts) for case, parts in zip(cases, zip(*found, strict=True), strict=True)]


def check(base: str, cases: Sequence[Case], device: str = "cpu") -> list[Decision]:
    """Return the verdict on each case of the working tree's kernel against the source of another."""
    kernels = {"base": base, "same": kernel_source()}
    decisions = {case: _decide(found) for case, found in zip(cases, measure(cases, device, kernels), strict=True)}
    changed = [case for case, decision in decisions.items() if regressions.needs_rerun(decision.verdict)]
    for case, found in zip(changed, measure(changed, device, kernels, factor=2) if changed else (), strict=True):
        again = _decide(found)
        verdict = regressions.confirm(decisions[case].verdict, again.verdict)
        decisions[case] = Decision(found, again.ratio, again.tolerance, verdict)
    return list(decisions.values())


def fresh_process(plan: Mapping[str, Any], module: str = "irmbench.perf.worker") -> Any:
    """Return what a new interpreter finds that runs the module on the plan: JSON, its last line."""
    # The package's own folder leads, so that the process times this checkout, wherever it is started from.
    path = os.pathsep.join([str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(plan),
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2] or f"it ended with code {done.returncode}"
        raise UserError(f"a measuring process failed: {reason}")
    return json.loads(done.stdout.splitlines()[-1])


def _pairs(case: Case) -> int:
    return PAIRS if case.environments * case.n < LARGE else PAIRS // 5


def _decide(found: Measurement) -> Decision:
    ratio, delta = found.ratio("fast", "base"), regressions.tolerance(found.ratio("same", "fast"))
    return Decision(found, ratio, delta, regressions.judge(ratio, delta))


def _measurement(case: Case, parts: Sequence[dict[str, Any]]) -> Measurement:
    """Return what the processes found of one case."""
    seconds = {arm: np.array([part["seconds"][arm] for part in parts]) for arm in parts[0]["seconds"]}
    return Measurement(case, seconds, parts[0]["operators"], parts[0]["peak_bytes"])


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["git", *arguments], cwd=PACKAGE, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UserError(f"git cannot be run: {error.strerror}") from error
