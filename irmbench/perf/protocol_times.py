"""Time the Linear Unit Tests' suite against an ordinary loop: `python -m irmbench.perf.protocol_times FILE`.

Of every method on every example, a step of one whole job beside a step of one of its trials by autograd, on one thread.
Writes a CSV: trials per second of either, and their ratio with its interval over interleaved pairs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

from irmbench.engine.descent import Loop
from irmbench.errors import writing
from irmbench.perf.ordinary_loops import METHODS, OrdinaryLoop
from irmbench.perf.timing import paired_ratio, time_arms
from irmbench.runs import sources
from irmbench.runs.execution import assemble
from irmbench.runs.planning import Job, build, plan
from irmbench.suite import load_suite, trials

SUITE = "unit-tests-paper"
STEPS = 4  # of the ordinary loop in a measurement
PAIRS = 15
CONFIDENCE = 0.95


def measure(pairs: int = PAIRS, jobs: list[Job] | None = None) -> Iterator[dict[str, Any]]:
    """Yield a row for every method and example: of its first job, and of that job's last trial."""
    for job in tqdm(first_jobs() if jobs is None else jobs, unit="job", disable=None):
        loop, trial = Loop(assemble(job)), job.trials[-1]
        _, _, solver = build(trial)
        floats = {name: value for name, value in trial.method_params.items() if isinstance(value, float)}
        rates = {"learning_rate": solver.learning_rate, "weight_decay": solver.weight_decay}
        start = assemble(Job([trial], 1)).start()[0, 0]
        ordinary = OrdinaryLoop(trial.method, sources.sample(sources.source(trial)), start, floats | rates)
        arms = {"ordinary": partial(ordinary.run, STEPS), "engine": partial(_advance, loop)}
        seconds = time_arms(arms, pairs=pairs, min_block=0.0)
        trial_of_loop = seconds["ordinary"] / STEPS * solver.steps
        trial_of_job = seconds["engine"] * solver.steps / len(job.trials)
        ratio = paired_ratio(trial_of_loop, trial_of_job, confidence=CONFIDENCE)
        yield {
            "dataset_label": build(trial)[0].label,
            "method": trial.name,
            "trials_of_a_job": len(job.trials),
            "trials_per_second": 1 / pd.Series(trial_of_job).median(),
            "ordinary_trials_per_second": 1 / pd.Series(trial_of_loop).median(),
            "ratio": ratio.median,
            "ratio_low": ratio.lo,
            "ratio_high": ratio.hi,
            "pairs": pairs,
        }


def first_jobs() -> list[Job]:
    """Return the first job of every method on every example that is drawn for, scrambled ones aside."""
    first: dict[tuple[str, str], Job] = {}
    for job in plan(t for t in trials(load_suite(SUITE)) if not t.dataset_params["scrambled"]):
        trial = job.trials[0]
        if job.draws > 1 and trial.method in METHODS:
            first.setdefault((trial.method, trial.dataset), job)
    return list(first.values())


def _advance(loop: Loop) -> None:
    loop.run(loop.done + 1)


def main() -> None:
    """Measure, and write the file that is named."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m irmbench.perf.protocol_times FILE.csv")
    torch.set_num_threads(1)
    file = Path(sys.argv[1])
    with writing(file):
        file.touch()  # before minutes of measuring
        table = pd.DataFrame(measure())
        file.write_text(table.to_csv(index=False), encoding="utf-8")


if __name__ == "__main__":
    main()
