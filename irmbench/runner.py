"""Run a suite from end to end: trials to jobs, jobs to records, records to tables and plots."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import msgspec
import torch
from loky import get_reusable_executor
from tqdm import tqdm

from irmbench import outputs, provenance, sources
from irmbench.changes import Changes, change
from irmbench.errors import UserError, plain_words
from irmbench.execution import Job, digests, execute, plan, run_job, screen
from irmbench.store import Record, Store
from irmbench.suite import Suite, Trial, trials

REASONS = 5  # why trials failed or do not apply: the most frequent are printed, all are in trials.csv


@dataclass(frozen=True)
class Options:
    """How a suite is run.

    Attributes:
        out: the folder of the run; default: results/<suite>.
        changes: what is changed about the suite.
        device: where batches run, cpu or cuda.
        workers: processes; default: one per available core, and on cuda one.
        fresh: whether earlier records are deleted first.

    """

    out: Path | None = None
    changes: Changes = field(default_factory=Changes)
    device: str = "cpu"
    workers: int | None = None
    fresh: bool = False


@dataclass(frozen=True)
class Summary:
    """What became of a run: its folder, its seconds, the records of its planned trials, how many were there before."""

    folder: Path
    seconds: float
    records: list[Record]
    resumed: int
    notices: list[str]

    @property
    def statuses(self) -> Counter[str]:
        """Trials by status."""
        return Counter(record["status"] for record in self.records)

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in sorted(self.statuses.items()))
        resumed = f" ({self.resumed:,} of them from before)" if self.resumed else ""
        reasons = Counter(reason(record) for record in self.records if record["status"] != "ok")
        lines = [f"{count:,} {text}" for text, count in reasons.most_common(REASONS)]
        lines += [f"and {len(reasons) - REASONS:,} other reasons, in trials.csv"] if len(reasons) > REASONS else []
        return "\n".join([f"{counts}{resumed}; {self.seconds:.0f} s", *lines, *self.notices, f"in {self.folder}"])


def reason(record: Record) -> str:
    """Return in one line why a trial has no result, and where in its plugin's file it failed."""
    error = record["error"].strip()
    message = error.splitlines()[-1].partition(", at [")[0][:200]
    places = re.findall(rf'File "([^"]*(?:{record["method"]}|{record["dataset"]})\.py)", line (\d+)', error)
    where = f" ({places[-1][0]}:{places[-1][1]})" if places else ""
    words = plain_words(error if "vmap: It looks like" in error else message)
    return f"{record['status'].replace('_', ' ')}: {record['method']}: {words}{where}"


def run_suite(suite: Suite, options: Options) -> Summary:
    """Run or resume a suite, and write its tables and plots."""
    started = time.perf_counter()
    _check_device(options.device)
    suite = change(suite, options.changes)
    planned = trials(suite)
    store = Store(options.out or Path("results", suite.name))
    store.create()
    if options.fresh:
        store.clear()
    known = store.records()
    missing = [trial for trial in planned if not _done(trial, known.get(trial.id))]
    provenance.write(store.folder, suite, [trial.id for trial in planned])
    _run(suite.name, missing, store, options)
    timed = suite.timing is not None and (store.folder / outputs.TIMINGS).exists() and not options.fresh
    notices = outputs.time_penalties(suite.timing, store.folder) if suite.timing and not timed else []
    records = provenance.asked_for(store.folder)
    outputs.write(store.folder, records, suite)
    seconds = time.perf_counter() - started
    provenance.finish(store.folder, seconds)
    return Summary(store.folder, seconds, records, len(planned) - len(missing), notices)


def rerun(folder: Path, trial_id: str) -> tuple[Record, Record]:
    """Run one trial again from its record in a run; return that record, and the new one, which is not stored."""
    records = Store(folder).records()
    if trial_id not in records:
        raise UserError(f"{folder}: has no trial {trial_id!r}; the ids are in its trials.csv")
    try:
        trial = msgspec.convert({k: v for k, v in records[trial_id].items() if k in Trial.__struct_fields__}, Trial)
    except msgspec.ValidationError as error:
        raise UserError(f"{folder}: the record of {trial_id} cannot be run again: {error}") from error
    runnable, refused = screen([trial])
    device = records[trial_id]["device"]
    _check_device(device)
    (new,) = run_job(Job(runnable, 1, device)) if runnable else refused
    return records[trial_id], new


def _done(trial: Trial, record: Record | None) -> bool:
    """Whether a trial has a result, and of the plugins as they are now."""
    if record is None or record["status"] == "failed":
        return False
    return bool(record.get("plugins") == digests(trial.dataset, trial.method))


def _run(suite: str, missing: list[Trial], store: Store, options: Options) -> None:
    """Run the trials and store each job's records as it ends."""
    runnable, refused = screen(missing)
    jobs = plan(runnable, options.device)
    writer = store.writer()
    if notice := sources.expected(runnable):
        print(notice, file=sys.stderr)
    # `disable=None`: quiet where standard error is no terminal.
    with _pool(options, len(jobs)) as pool, tqdm(total=len(missing), unit="trial", disable=None) as progress:
        for records in chain([refused], execute(jobs, pool)):
            if records:
                writer.write({"suite": suite, **record} for record in records)
                progress.update(len(records))


@contextmanager
def _pool(options: Options, jobs: int) -> Iterator[Executor | None]:
    """Yield worker processes, or None where one process is enough."""
    workers = min(options.workers or (1 if options.device == "cuda" else _cores()), jobs)
    if workers <= 1:
        yield None
        return
    pool = get_reusable_executor(max_workers=workers, initializer=_prepare_worker)
    try:
        yield pool
    finally:
        pool.shutdown(kill_workers=True)


def _prepare_worker() -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's to handle


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_device(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: PyTorch finds no CUDA device on this machine; use --device cpu")
