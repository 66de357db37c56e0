"""Trials to jobs: rectangles of trials that share a batch, none larger than memory and patience allow."""

from __future__ import annotations

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from irmbench.engine.newton import POINTS
from irmbench.engine.solve import uses_closed_form
from irmbench.interface import Dataset, Method, Solver
from irmbench.runs import sources
from irmbench.runs.limits import NO_LIMITS, Limits
from irmbench.runs.sources import Source, source
from irmbench.runs.streams import WHOLE
from irmbench.suite import Trial

MAX_TRIALS = 2048  # of one batch
MAX_ELEMENTS = 2**25  # examples times trials of one batch: a step makes a few float64 copies of them
MAX_DRAWN = 2**31  # examples times trials of a batch whose samples are large: a quarter of an hour
MAX_WORK = 2**37  # examples times trials times steps: some minutes

# What work takes, in seconds on some machine: only ratios matter, to tell what share of a run is done.
SCORING = 3e-4  # of a trial, with its record
DRAWING = 2e-8  # of a number of a sample
STEP = 5e-4  # of a batch, whatever its size
ELEMENT = 4e-9  # of a step, for every number of the data
NEWTON_STEPS = 250


@dataclass(frozen=True)
class Survey:
    """Trials of which nothing is known yet: whether they can be run, and which can share a batch."""

    trials: list[Trial]
    device: str = "cpu"
    limits: Limits = NO_LIMITS

    def halves(self) -> tuple[Survey, Survey]:
        """Return the survey in two."""
        cut = len(self.trials) // 2
        return (
            dataclasses.replace(self, trials=self.trials[:cut]),
            dataclasses.replace(self, trials=self.trials[cut:]),
        )


@dataclass(frozen=True)
class Job:
    """A rectangle of trials that share a batch: S rows of one source each, by H draws; ``trials`` row by row."""

    trials: list[Trial]
    draws: int
    device: str = "cpu"
    limits: Limits = NO_LIMITS
    work: float = 0.0  # an estimate that compares with other jobs'

    def halves(self) -> tuple[Job, Job]:
        """Return the job in two: its rows, or the draws of its only row."""
        rows = len(self.trials) // self.draws
        cut = rows // 2 * self.draws or self.draws // 2
        parts = self.trials[:cut], self.trials[cut:]
        draws = self.draws if rows > 1 else 0
        first, second = (
            dataclasses.replace(self, trials=part, draws=draws or len(part), work=self.work / 2) for part in parts
        )
        return first, second


Task = Survey | Job


def plan(trials: Iterable[Trial], device: str = "cpu", limits: Limits = NO_LIMITS) -> list[Job]:
    """Group trials into the fewest jobs whose trials can share a batch."""
    groups: dict[Any, dict[Source, list[Trial]]] = defaultdict(lambda: defaultdict(list))
    for trial in trials:
        groups[_batch_key(trial)][source(trial)].append(trial)
    rectangles = [rectangle for rows in groups.values() for rectangle in _rectangles(rows)]
    rectangles.sort(key=lambda rectangle: rectangle[0][0].data_seed)  # those that share data follow one another
    return [Job(of, draws, device, limits, _work(of[0], len(of), draws)) for of, draws in rectangles]


def build(trial: Trial) -> tuple[Dataset, Method, Solver]:
    """Return a trial's dataset, method and solver."""
    method = sources.method_class(trial.method)(**trial.method_params)
    key = source(trial)
    return sources.dataset(key.dataset, key.params), method, Solver(name=trial.solver, **trial.solver_params)


def _batch_key(trial: Trial) -> Any:
    """Return what trials of one batch have in common."""
    dataset, method, solver = build(trial)
    key = source(trial)
    examples = sources.needs_examples(dataset, method, solver)
    fixed = [
        {k: v for k, v in params.items() if not isinstance(v, float) or k == "start"}
        for params in (trial.method_params, trial.solver_params)
    ]
    return (
        trial.method,
        trial.solver,
        msgspec.json.encode(fixed, order="sorted"),
        trial.record_every,
        sources.shape(key),
        (dataset.loss, dataset.intercept, dataset.network),
        dataset.n if examples or dataset.n > WHOLE else None,
    )


def _rectangles(rows: dict[Source, list[Trial]]) -> Iterator[tuple[list[Trial], int]]:
    """Yield the rows that have the same draws, as rectangles no larger than a batch may be, and their draws."""
    alike: dict[Any, list[list[Trial]]] = defaultdict(list)
    for row in rows.values():
        ordered = sorted(row, key=lambda trial: trial.draw)
        columns = [(t.draw, t.method_params, t.solver_params) for t in ordered]
        alike[msgspec.json.encode(columns, order="sorted")].append(ordered)
    for group in alike.values():
        most = _most(group[0][0])
        draws = min(len(group[0]), most)
        jobs = -(-len(group) // (most // draws))
        size = -(-len(group) // jobs)  # jobs of one size end together
        for i, j in itertools.product(range(0, len(group), size), range(0, len(group[0]), draws)):
            rows_of_job = [row[j : j + draws] for row in group[i : i + size]]
            yield [trial for row in rows_of_job for trial in row], len(rows_of_job[0])


def _most(trial: Trial) -> int:
    """Return how many trials like this one may share a batch: of memory, and of the time that an interrupt may cost."""
    dataset, method, solver = build(trial)
    environments, _ = sources.shape(source(trial))
    if not sources.needs_examples(dataset, method, solver):
        large = solver.data == "sample" and dataset.n > WHOLE
        return max(1, min(MAX_TRIALS, MAX_DRAWN // (environments * dataset.n))) if large else MAX_TRIALS
    held = method.footprint(environments, dataset.n) * (POINTS if solver.optimizer == "newton" else 1)
    work = environments * dataset.n * (solver.steps if solver.optimizer in ("sgd", "adam") else 1)
    return max(1, min(MAX_TRIALS, MAX_ELEMENTS // held, MAX_WORK // work))


def _work(trial: Trial, trials: int, draws: int) -> float:
    """Return about how long a batch of trials like this one takes."""
    dataset, method, solver = build(trial)
    environments, parameters = sources.shape(source(trial))
    newton = solver.optimizer == "newton"
    steps = solver.steps if solver.optimizer in ("sgd", "adam") else NEWTON_STEPS
    if uses_closed_form(method, solver, dataset.loss):
        steps = 1
    rows = dataset.n if sources.needs_examples(dataset, method, solver) else parameters
    size = environments * rows * parameters * (POINTS if newton else 1)
    drawing = trials // draws * environments * dataset.n * parameters * DRAWING
    return trials * SCORING + drawing + steps * (STEP + trials * size * ELEMENT)
