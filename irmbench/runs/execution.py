"""Run trials in batches, in this process or in workers; a trial that fails costs no other its result."""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

import msgspec

from irmbench import plugins
from irmbench.engine.batch import Batch
from irmbench.engine.risks import Data
from irmbench.engine.solve import solve, solved_by, undefined, why_not
from irmbench.moments import stack
from irmbench.runs import sources
from irmbench.runs.limits import NO_LIMITS, Limits, is_users
from irmbench.runs.outcomes import outcomes
from irmbench.runs.planning import Job, Survey, Task, build, plan
from irmbench.runs.provenance import stamp
from irmbench.runs.sources import source
from irmbench.runs.store import SCHEMA, Record
from irmbench.suite import Trial


class Done(NamedTuple):
    """What a task came to: records, and jobs that it planned."""

    records: list[Record]
    jobs: list[Job]


def run(task: Task) -> Done:
    """Run a job, or plan the jobs of a survey."""
    return Done(run_job(task), []) if isinstance(task, Job) else _survey(task)


def _survey(survey: Survey) -> Done:
    """Return the records of trials that cannot be run, and the jobs of the others."""
    runnable, refused = screen(survey.trials, survey.limits)
    try:
        return Done(refused, plan(runnable, survey.device, survey.limits))
    except BaseException as error:
        if is_users(error):
            raise
        if len(runnable) == 1:
            return Done([*refused, record(runnable[0], _failure(error, survey.limits), 0.0, survey.device)], [])
    parts = [_survey(half) for half in dataclasses.replace(survey, trials=runnable).halves()]
    return Done([*refused, *(r for part in parts for r in part.records)], [job for part in parts for job in part.jobs])


def screen(trials: Iterable[Trial], limits: Limits = NO_LIMITS) -> tuple[list[Trial], list[Record]]:
    """Return the trials that can be run, and the records of those that cannot, with the reason."""
    runnable, records = [], []
    for trial in trials:
        try:
            with limits.held():
                reason = _why_not(trial)
        except BaseException as error:
            if is_users(error):
                raise
            records.append(record(trial, _failure(error, limits), 0.0))
            continue
        if reason is None:
            runnable.append(trial)
        else:
            records.append(record(trial, {"status": "not_applicable", "error": str(reason)}, 0.0))
    return runnable, records


def run_job(job: Job) -> list[Record]:
    """Return the records of a job's trials; where it fails, halve it until each failure is one trial's own."""
    started = time.perf_counter()
    try:
        with job.limits.held():
            found = _solve(job)
    except BaseException as error:
        if is_users(error):
            raise
        found = [_failure(error, job.limits)]
    if len(found) < len(job.trials):  # out here, where what the error held is let go
        return [done for half in job.halves() for done in run_job(half)]
    seconds = (time.perf_counter() - started) / len(job.trials)
    return [record(trial, done, seconds, job.device) for trial, done in zip(job.trials, found, strict=True)]


def _failure(error: BaseException, limits: Limits) -> dict[str, str]:
    told = traceback.format_exception(error)
    if limits.mebibytes is not None and (isinstance(error, MemoryError) or "allocate memory" in str(error)):
        told.append(f"MemoryError: it takes more than --memory-limit {limits.mebibytes} MiB")
    return {"status": "failed", "error": "".join(told)}


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


@cache
def digests(dataset: str, method: str) -> list[str]:
    """Return the hashes of the files of a dataset and a method."""
    named = (("datasets", dataset), ("methods", method))
    return [plugins.discover(kind)[name].digest for kind, name in named]


def _labels(trial: Trial, status: str) -> dict[str, str | bool]:
    try:
        dataset, method, solver = build(trial)
        return {
            "dataset_label": dataset.label,
            "method_label": method.label,
            "solved_by": "" if status == "not_applicable" else solved_by(method, solver, dataset.loss),
            "assumption_class": dataset.assumption_class,
            "family": method.family,
            "heavy_tailed": method.heavy_tailed,
        }
    except Exception:  # a plugin that cannot even name itself has failed already
        names = {"dataset_label": trial.dataset, "method_label": trial.method}
        return {**names, "solved_by": "", "assumption_class": "unknown", "family": "", "heavy_tailed": False}


def _why_not(trial: Trial) -> str | None:
    dataset, method, solver = build(trial)
    key = source(trial)._replace(seed=0)
    environments, parameters = sources.shape(key)
    reason = why_not(method, dataset, solver, environments, sources.population(key) is not None)
    return reason or sources.no_room(dataset, method, solver, environments, parameters)


def _solve(job: Job) -> list[dict[str, Any]]:
    """Return what became of every trial of a job."""
    rows = job.trials[:: job.draws]
    data = _data(job)
    batch = assemble(job, data)
    fit = solve(batch, rows[0].record_every).to("cpu")
    undefineds = [undefined(batch, s, h) for s in range(len(rows)) for h in range(job.draws)]
    return [
        found if reason is None else {"status": "not_applicable", "error": str(reason)}
        for reason, found in zip(undefineds, outcomes(job.trials, data, fit), strict=True)
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
