"""From trials to stored records: tasks go to a pool, and one that kills its process is halved until it is one trial."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait

from irmbench.errors import UserError
from irmbench.runs.execution import Done, record
from irmbench.runs.executors import Pool
from irmbench.runs.planning import Job, Task
from irmbench.runs.progress import Progress
from irmbench.runs.store import Record, Writer
from irmbench.suite import Trial

DEATHS = 3  # of a trial that was alone in its process: then it is given up
HOPELESS = 8  # trials of a method or dataset given up and none that lived: what else of it dies is given up at once


class Dispatcher:
    """Has tasks run, never more at once than the pool is wide, and writes what comes back as it comes.

    Args:
        pool: where tasks run.
        writer: where records and deaths are written to.
        deaths: how often trials have killed their process before, by trial id.
        suite: the name that records say.
        progress: is told what is planned and what is done.

    """

    def __init__(self, pool: Pool, writer: Writer, deaths: Counter[str], suite: str, progress: Progress) -> None:
        self._pool, self._writer, self._deaths, self._suite, self._progress = pool, writer, deaths, suite, progress
        self._waiting: deque[Task] = deque()
        self._given_up: Counter[str] = Counter()  # trials by method and by dataset
        self._lived: set[str] = set()  # methods and datasets

    def run(self, tasks: Iterable[Task]) -> None:
        """Return when all tasks and what they lead to are done; UserError where the pool can run no more."""
        self._waiting.extend(tasks)
        running: dict[Future[Done], Task] = {}
        while self._waiting or running:
            while self._waiting and len(running) < self._pool.width():
                task = self._waiting.popleft()
                if isinstance(task, Job):
                    self._writer.start([trial.id for trial in task.trials])
                running[self._pool.submit(task)] = task
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                self._receive(running.pop(future), future)

    def _receive(self, task: Task, future: Future[Done]) -> None:
        """Take what became of a task."""
        try:
            done = future.result()
        except self._pool.died as error:
            self._bury(task, self._pool.epitaph(error))
        except CancelledError as error:
            raise UserError("the cluster gave up its tasks; what is done is kept, run again to resume") from error
        else:
            self._write(done.records)
            self._waiting.extend(done.jobs)
            self._progress.plan(sum(job.work for job in done.jobs))
            if isinstance(task, Job):
                self._progress.advance(task.work)
                self._lived.update(name for trial in task.trials for name in _plugins(trial))

    def _bury(self, task: Task, epitaph: str) -> None:
        """Go on after a task that killed its process."""
        if len(task.trials) > 1 and not all(map(self._hopeless, task.trials)):
            self._waiting.extendleft(reversed(task.halves()))
            return
        cause = epitaph.splitlines()[-1]
        self._writer.death([trial.id for trial in task.trials], cause)
        self._deaths.update(trial.id for trial in task.trials)
        if len(task.trials) == 1 and self._deaths[task.trials[0].id] < DEATHS:
            self._waiting.appendleft(task)
            return
        self._give_up(task, epitaph)

    def _give_up(self, task: Task, epitaph: str) -> None:
        *where, cause = epitaph.splitlines()
        records = []
        for trial in task.trials:
            count = self._deaths[trial.id]
            times = f"died {count} times" if count > 1 else "died once"
            others = ", as did all others of its plugin" if count < DEATHS else ""
            error = "\n".join([*where, f"given up: {cause}; it {times}{others}"])
            outcome = {"status": "failed", "error": error, "deaths": count, "given_up_within": task.limits.as_record()}
            records.append(record(trial, outcome, 0.0, task.device))
        self._given_up.update(name for trial in task.trials for name in _plugins(trial))
        self._write(records)
        if isinstance(task, Job):
            self._progress.advance(task.work)

    def _hopeless(self, trial: Trial) -> bool:
        return any(self._given_up[name] >= HOPELESS and name not in self._lived for name in _plugins(trial))

    def _write(self, records: list[Record]) -> None:
        if records:
            self._writer.write({"suite": self._suite, **record} for record in records)
            self._progress.count(len(records))


def _plugins(trial: Trial) -> tuple[str, str]:
    return f"methods/{trial.method}", f"datasets/{trial.dataset}"
