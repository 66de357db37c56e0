"""Run trials in batches, in this process or in workers; a trial that fails costs no other its result."""

from __future__ import annotations

import dataclasses
import itertools
import time
import traceback
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, as_completed
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from irmbench import plugins, sources
from irmbench.batch import Batch
from irmbench.errors import UserError
from irmbench.interface import Dataset, Method, Solver
from irmbench.moments import stack
from irmbench.newton import POINTS
from irmbench.outcomes import outcome
from irmbench.provenance import stamp
from irmbench.risks import Data
from irmbench.solve import solve, solved_by, undefined, why_not
from irmbench.sources import Source, source
from irmbench.store import SCHEMA, Record
from irmbench.streams import WHOLE
from irmbench.suite import Trial

MAX_TRIALS = 2048  # of one batch
MAX_ELEMENTS = 2**25  # examples times trials of one batch: a step makes a few float64 copies of them
MAX_DRAWN = 2**31  # examples times trials of a batch whose samples are large: a quarter of an hour
MAX_WORK = 2**37  # examples times trials times steps: some minutes


@dataclasses.dataclass(frozen=True)
class Job:
    """A rectangle of trials that share a batch: S rows of one source each, by H draws; ``trials`` row by row."""

    trials: list[Trial]
    draws: int
    device: str = "cpu"


def screen(trials: Iterable[Trial]) -> tuple[list[Trial], list[Record]]:
    """Return the trials that can be run, and the records of those that cannot, with the reason."""
    runnable, records = [], []
    for trial in trials:
        try:
            reason = _why_not(trial)
        except Exception:
            records.append(record(trial, {"status": "failed", "error": traceback.format_exc()}, 0.0))
            continue
        if reason is None:
            runnable.append(trial)
        else:
            records.append(record(trial, {"status": "not_applicable", "error": reason}, 0.0))
    return runnable, records


def plan(trials: Iterable[Trial], device: str = "cpu") -> list[Job]:
    """Group trials into the fewest jobs whose trials can share a batch."""
    groups: dict[Any, dict[Source, list[Trial]]] = defaultdict(lambda: defaultdict(list))
    for trial in trials:
        groups[_batch_key(trial)][source(trial)].append(trial)
    return [job for rows in groups.values() for job in _rectangles(rows, device)]


def execute(jobs: list[Job], pool: Executor | None) -> Iterator[list[Record]]:
    """Yield the records of each job as it ends; in this process where there is no pool."""
    if pool is None:
        yield from map(run_job, jobs)
        return
    try:
        for future in as_completed([pool.submit(run_job, job) for job in jobs]):
            yield future.result()
    except BrokenExecutor as error:
        raise UserError(
            "a worker process died, of too little memory or of a crash in a plugin; what is done is kept: run again, "
            "with --workers 1 to see where it dies"
        ) from error


def run_job(job: Job) -> list[Record]:
    """Return the records of a job's trials; where it fails, halve it until each failure is one trial's own."""
    started = time.perf_counter()
    try:
        outcomes = _solve(job)
    except Exception:
        if len(job.trials) > 1:
            return [done for half in _halves(job) for done in run_job(half)]
        outcomes = [{"status": "failed", "error": traceback.format_exc()}]
    seconds = (time.perf_counter() - started) / len(job.trials)
    return [record(trial, done, seconds, job.device) for trial, done in zip(job.trials, outcomes, strict=True)]


def record(trial: Trial, outcome: dict[str, Any], seconds: float, device: str = "cpu") -> Record:
    """Return the line to store: the trial, what became of it, and what tables group it by."""
    return {
        "schema": SCHEMA,
        "trial_id": trial.id,
        **msgspec.to_builtins(trial),
        **_labels(trial, outcome["status"]),
        "device": device,
        "seconds": seconds,
        "finished": datetime.now(UTC).isoformat(),
        "made_by": stamp(),
        "plugins": digests(trial.dataset, trial.method),
        **outcome,
    }


@lru_cache
def digests(dataset: str, method: str) -> list[str]:
    """Return the hashes of the files of a dataset and a method."""
    named = (("datasets", dataset), ("methods", method))
    return [plugins.discover(kind)[name].digest for kind, name in named]


def _labels(trial: Trial, status: str) -> dict[str, str]:
    try:
        dataset, method, solver = build(trial)
        return {
            "dataset_label": dataset.label,
            "method_label": method.label,
            "solved_by": "" if status == "not_applicable" else solved_by(method, solver, dataset.loss),
            "assumption_class": dataset.assumption_class,
            "family": method.family,
        }
    except Exception:  # a plugin that cannot even name itself has failed already
        names = {"dataset_label": trial.dataset, "method_label": trial.method}
        return names | {"solved_by": "", "assumption_class": "unknown", "family": ""}


def build(trial: Trial) -> tuple[Dataset, Method, Solver]:
    """Return a trial's dataset, method and solver."""
    method = sources.method_class(trial.method)(**trial.method_params)
    key = source(trial)
    return sources.dataset(key.dataset, key.params), method, Solver(name=trial.solver, **trial.solver_params)


def _why_not(trial: Trial) -> str | None:
    dataset, method, solver = build(trial)
    key = source(trial)._replace(seed=0)
    environments, parameters = sources.shape(key)
    reason = why_not(method, dataset, solver, environments, sources.population(key) is not None)
    return reason or sources.no_room(dataset, method, solver, environments, parameters)


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


def _rectangles(rows: dict[Source, list[Trial]], device: str) -> Iterator[Job]:
    """Yield jobs of the rows that have the same draws, no larger than a batch may be."""
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
            yield Job([trial for row in rows_of_job for trial in row], len(rows_of_job[0]), device)


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


def _halves(job: Job) -> tuple[Job, Job]:
    """Return a job in two: its rows, or the draws of its only row."""
    rows = len(job.trials) // job.draws
    if rows == 1:
        half = job.draws // 2
        first, second = job.trials[:half], job.trials[half:]
        return Job(first, len(first), job.device), Job(second, len(second), job.device)
    cut = rows // 2 * job.draws
    return Job(job.trials[:cut], job.draws, job.device), Job(job.trials[cut:], job.draws, job.device)


def _solve(job: Job) -> list[dict[str, Any]]:
    """Return what became of every trial of a job."""
    rows = job.trials[:: job.draws]
    data = _data(job)
    batch = assemble(job, data)
    fit = solve(batch, rows[0].record_every).to("cpu")
    return [
        {"status": "not_applicable", "error": reason}
        if (reason := undefined(batch, s, h))
        else outcome(job.trials[s * job.draws + h], data[s], fit, s, h)
        for s in range(len(rows))
        for h in range(job.draws)
    ]


def assemble(job: Job, data: list[Data] | None = None) -> Batch:
    """Return a job's trials as a batch, of the data of its rows if they are there already."""
    rows, columns = job.trials[:: job.draws], job.trials[: job.draws]
    return Batch(
        methods=[build(trial)[1] for trial in columns],
        data=stack(_data(job) if data is None else data).to(job.device),
        truths=[sources.truth(source(trial)).to(job.device) for trial in rows],
        solvers=[build(trial)[2] for trial in columns],
        seeds=[trial.data_seed for trial in rows],
        draws=[trial.draw for trial in columns],
    )


def _data(job: Job) -> list[Data]:
    _, method, solver = build(job.trials[0])
    return [sources.data(source(trial), method, solver) for trial in job.trials[:: job.draws]]
