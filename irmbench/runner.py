"""Run a suite from end to end: trials to jobs, jobs to records, records to tables and plots."""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import torch

from irmbench import plugins
from irmbench.changes import Changes, change
from irmbench.errors import UserError
from irmbench.report import outputs, page
from irmbench.runs import plan, provenance, sources
from irmbench.runs.dispatch import Dispatcher
from irmbench.runs.execution import digests, run_job, screen
from irmbench.runs.limits import NO_LIMITS, Limits
from irmbench.runs.loading import Contents, contents
from irmbench.runs.planning import Job, Survey
from irmbench.runs.pools import check_executor, open_pool
from irmbench.runs.progress import Progress
from irmbench.runs.reasons import reason
from irmbench.runs.store import Head, Record, Store
from irmbench.suite import Suite, Trial, trials

SURVEYED = 2**16  # trials that are planned together
REASONS = 5  # why trials failed or do not apply: the most frequent are printed, all are in trials.csv


@dataclass(frozen=True)
class Options:
    """How a suite is run.

    Attributes:
        out: the folder of the run; default: results/<suite>.
        changes: what is changed about the suite.
        device: where batches run, cpu or cuda.
        workers: processes; default: one per available core, and on cuda one; None with dask:ADDRESS, which has its own.
        fresh: whether earlier records are deleted first.
        executor: loky, for processes on this machine; dask, for a Dask cluster on it; dask:ADDRESS, for one that runs.
        limits: what a trial may take.
        allow_code: versions of irmbench's code whose results are kept though they are not this one's.

    """

    out: Path | None = None
    changes: Changes = field(default_factory=Changes)
    device: str = "cpu"
    workers: int | None = None
    fresh: bool = False
    executor: str = "loky"
    limits: Limits = NO_LIMITS
    allow_code: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """What became of a run: its folder, its seconds, its planned trials, how many of them were there before."""

    folder: Path
    seconds: float
    contents: Contents
    resumed: int
    notices: list[str]

    @property
    def statuses(self) -> Counter[str]:
        """Trials by status."""
        return Counter(self.contents.frame["status"])

    @property
    def is_wrong(self) -> bool:
        """Whether a trial failed, or has results that differ though the same code made them."""
        return bool(self.statuses["failed"] or self.contents.nondeterminism)

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in sorted(self.statuses.items()))
        resumed = f" ({self.resumed:,} of them from before)" if self.resumed else ""
        frame = self.contents.frame
        without = frame[frame["status"] != "ok"].to_dict("records")
        reasons = Counter(reason({str(key): value for key, value in record.items()}) for record in without)
        lines = [f"{count:,} {text}" for text, count in reasons.most_common(REASONS)]
        lines += [f"and {len(reasons) - REASONS:,} other reasons, in trials.csv"] if len(reasons) > REASONS else []
        if given_up := int(frame["deaths"].notna().sum()) if "deaths" in frame else 0:
            lines += [
                f"{given_up:,} given up: run again only when their plugin, --time-limit or --memory-limit changes"
            ]
        lines += [*self.notices, *self.contents.problems, f"in {self.folder}"]
        return "\n".join([f"{counts}{resumed}; {self.seconds:.0f} s", *lines])


def run_suite(suite: Suite, options: Options) -> Summary:
    """Run or resume a suite, and write its tables, plots and report."""
    started = time.perf_counter()
    _check_device(options.device)
    options.limits.check(options.device)
    check_executor(options.executor, options.workers)
    suite = change(suite, options.changes)
    planned = trials(suite)
    store = Store(options.out or Path("results", suite.name))
    store.create()
    with store.lock():
        missing = _missing(planned, store, options)
        plan.write(store, suite, [trial.id for trial in planned])
        _run(suite.name, missing, store, options)
        timed = suite.timing is not None and (store.folder / outputs.TIMINGS).exists() and not options.fresh
        notices = outputs.time_penalties(suite.timing, store.folder) if suite.timing and not timed else []
        found = contents(store.folder)
        outputs.write(store.folder, found.frame, suite)
        seconds = time.perf_counter() - started
        plan.finish(store.folder, seconds)
        page.write(store.folder, found)
    return Summary(store.folder, seconds, found, len(planned) - len(missing), notices)


def _missing(planned: list[Trial], store: Store, options: Options) -> list[Trial]:
    """Return the trials without a result; UserError where there are results of other code that is not allowed."""
    if options.fresh:
        store.clear()
    known = store.heads()
    missing = [trial for trial in planned if not _done(trial, known.get(trial.id), options.limits)]
    kept = {trial.id for trial in planned} - {trial.id for trial in missing}
    made_by = Counter(known[trial_id].made_by.code for trial_id in kept)
    provenance.refuse_other_code(store.folder, made_by, options.allow_code)
    return missing


def rerun(folder: Path, trial_id: str) -> tuple[Record, Record]:
    """Run one trial again from its record in a run; return that record, and the new one, which is not stored."""
    records = Store(folder).records()
    if trial_id not in records:
        raise UserError(f"{folder}: has no trial {trial_id!r}; the ids are in its trials.csv")
    try:
        trial = msgspec.convert({k: v for k, v in records[trial_id].items() if k in Trial.__struct_fields__}, Trial)
    except msgspec.ValidationError as error:
        raise UserError(f"{folder}: the record of {trial_id} cannot be run again: {error}") from error
    for kind, name in (("datasets", trial.dataset), ("methods", trial.method)):
        plugins.load(kind, name)  # where it is not found any more, that is said
    runnable, refused = screen([trial])
    device = records[trial_id]["device"]
    _check_device(device)
    (new,) = run_job(Job(runnable, 1, device)) if runnable else refused
    return records[trial_id], new


def _done(trial: Trial, head: Head | None, limits: Limits) -> bool:
    """Whether a trial has a result, or was given up within these limits; and with the plugins as they are now."""
    if head is None or (head.status == "failed" and head.given_up_within != limits.as_record()):
        return False
    return head.plugins == digests(trial.dataset, trial.method)


def _run(suite: str, missing: list[Trial], store: Store, options: Options) -> None:
    """Run the trials, and store their records as they come."""
    if not missing:
        return
    if notice := sources.expected(missing):
        print(notice, file=sys.stderr)
    limits = options.limits
    surveys = [Survey(missing[i : i + SURVEYED], options.device, limits) for i in range(0, len(missing), SURVEYED)]
    opened = open_pool(options.executor, options.workers, len(missing), limits, options.device)
    with opened as pool, Progress(len(missing)) as progress:
        Dispatcher(pool, store.writer(), store.deaths(), suite, progress).run(surveys)


def _check_device(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: PyTorch finds no CUDA device on this machine; use --device cpu")
