"""Where tasks run: in this process or in worker processes, both with the face of an Executor."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from loky import ProcessPoolExecutor

import irmbench
from irmbench import plugins
from irmbench.runs import execution
from irmbench.runs.execution import Done
from irmbench.runs.planning import Task
from irmbench.runs.processes import cause, end_with, uninterrupted
from irmbench.runs.runners import Runner, RunnerDiedError


@dataclass(frozen=True)
class Pool:
    """An executor, and what is particular about it.

    Attributes:
        executor: where tasks are submitted to.
        call: the function to submit with a task.
        width: how many tasks may be under way now.
        died: the errors that say that the process died which ran a task.
        epitaph: where that process was, as far as such an error knows, and in the last line what it died of.

    """

    executor: Executor
    call: Callable[[Task], Done]
    width: Callable[[], int]
    died: tuple[type[Exception], ...] = ()
    epitaph: Callable[[Exception], str] = str

    def submit(self, task: Task) -> Future[Done]:
        """See that a task is run."""
        return self.executor.submit(self.call, task)


def serial_pool() -> Pool:
    """Return a pool of this process alone."""
    return Pool(SerialExecutor(), execution.run, lambda: 1)


@contextmanager
def worker_pool(workers: int) -> Iterator[Pool]:
    """Yield a pool of so many worker processes."""
    with Workers(workers) as processes:
        call = partial(_in_runner, plugins.users_roots())
        yield Pool(processes, call, lambda: workers, (BrokenExecutor,), _epitaph)


def _epitaph(error: Exception) -> str:
    if isinstance(error, RunnerDiedError):
        return str(error)
    codes = re.findall(r"\((-?\d+)\)", str(error))  # as in {SIGSEGV(-11)}
    return cause(int(codes[-1]) if codes else None)


class SerialExecutor(Executor):
    """Runs in this process what is submitted, at once."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return the future of a call that is over."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Workers(Executor):
    """Worker processes, each a pool of its own, so that one that dies takes only its own call with it."""

    def __init__(self, count: int) -> None:
        self._slots = [_Slot() for _ in range(count)]

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call in a worker that has nothing to do; there has to be one."""
        return next(slot for slot in self._slots if slot.is_idle).submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers, whatever they do."""
        for slot in self._slots:
            slot.end()


class _Slot:
    """One worker process; when it has died, the next call has a new one."""

    def __init__(self) -> None:
        self._future: Future[Any] | None = None
        self._start()

    @property
    def is_idle(self) -> bool:
        return self._future is None or self._future.done()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        try:
            self._future = self._pool.submit(fn, *args, **kwargs)
        except BrokenExecutor:
            self.end()
            self._start()
            self._future = self._pool.submit(fn, *args, **kwargs)
        return self._future

    def end(self) -> None:
        self._pool.shutdown(kill_workers=True)

    def _start(self) -> None:
        self._pool = ProcessPoolExecutor(max_workers=1, initializer=end_with, initargs=(os.getpid(),))
        with uninterrupted():
            self._pool.submit(prepare)  # so that the process starts now


def _in_runner(roots: list[str], task: Task) -> Done:
    """Run a task in a child of a worker process."""
    done: Done = _runner()(run_with, roots, task)
    return done


_runner = cache(Runner)  # of this process


def run_with(roots: list[str], task: Task) -> Done:
    """Run a task in a process that may lack some of the folders of plugins."""
    irmbench.__path__ += [root for root in roots if root not in irmbench.__path__ and os.path.isdir(root)]
    torch.set_num_threads(1)
    return execution.run(task)


def prepare() -> None:
    """Load what tasks need: with this module it is."""
