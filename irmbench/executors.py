"""Where tasks run: in this process, in worker processes, or on a Dask cluster, all with the face of an Executor."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from loky import ProcessPoolExecutor

import irmbench
from irmbench import execution, plugins
from irmbench.errors import UserError, suggest
from irmbench.execution import Done
from irmbench.limits import Limits, write_last_words_to
from irmbench.planning import Task

EXECUTORS = ("loky", "dask")
PR_SET_PDEATHSIG = 1  # of prctl(2)
WORDS = 4000  # characters of where a process was when it died


@dataclass(frozen=True)
class Pool:
    """An executor, and what is particular about it.

    Attributes:
        executor: where tasks are submitted to.
        call: the function to submit with a task.
        width: how many tasks may be under way now.
        died: the errors that say that the process died which ran a task.
        epitaph: where that process was, as far as known, and in the last line what it died of.

    """

    executor: Executor
    call: Callable[[Task], Done]
    width: Callable[[], int]
    died: tuple[type[Exception], ...] = ()
    epitaph: Callable[[Future[Done]], str] = str

    def submit(self, task: Task) -> Future[Done]:
        """See that a task is run."""
        return self.executor.submit(self.call, task)


def check_name(executor: str) -> None:
    """Raise UserError unless ``open_pool`` knows an executor of this name."""
    name, _, address = executor.partition(":")
    if name not in EXECUTORS or (address and name != "dask"):
        raise UserError(f"--executor {executor}: expected loky, dask or dask:ADDRESS.{suggest(name, EXECUTORS)}")


@contextmanager
def open_pool(executor: str, workers: int | None, most: int, limits: Limits, device: str) -> Iterator[Pool]:
    """Yield the pool that an option names, ``loky``, ``dask`` or ``dask:ADDRESS``, of no more workers than ``most``."""
    name, _, address = executor.partition(":")
    count = min(workers or (1 if device == "cuda" else cores()), most)
    if name == "dask":
        from irmbench.clusters import dask_pool  # an optional dependency

        with dask_pool(address, count, in_worker()) as pool:
            yield pool
    elif workers_wanted(workers, limits, device):
        with Workers(count) as executor_:
            yield Pool(executor_, in_worker(), lambda: count, (BrokenExecutor,), executor_.epitaph)
    else:
        yield Pool(SerialExecutor(), execution.run, lambda: 1)


class SerialExecutor(Executor):
    """Runs in this process what is submitted, at once."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return the future of a call that is over."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Workers(Executor):
    """Worker processes, each a pool of its own, so that one that dies takes only its own task with it."""

    def __init__(self, count: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="irmbench-")
        self._slots = [_Slot(Path(self._folder.name, str(number))) for number in range(count)]

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call in a worker that has nothing to do; there has to be one."""
        return next(slot for slot in self._slots if slot.is_idle).submit(fn, *args, **kwargs)

    def epitaph(self, future: Future[Any]) -> str:
        """Return where the process was that died of a call, and in the last line what it died of."""
        return next(slot for slot in self._slots if slot.future is future).epitaph()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers, whatever they do."""
        for slot in self._slots:
            slot.end()
        self._folder.cleanup()


class _Slot:
    """One worker process; when it has died, the next call has a new one."""

    def __init__(self, last_words: Path) -> None:
        self._last_words = last_words
        self.future: Future[Any] | None = None
        self._start()

    @property
    def is_idle(self) -> bool:
        return self.future is None or self.future.done()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        try:
            self.future = self._pool.submit(fn, *args, **kwargs)
        except BrokenExecutor:
            self.end()
            self._start()
            self.future = self._pool.submit(fn, *args, **kwargs)
        return self.future

    def epitaph(self) -> str:
        assert self.future is not None
        words = self._last_words.read_text(encoding="utf-8", errors="replace") if self._last_words.exists() else ""
        codes = re.findall(r"\((-?\d+)\)", str(self.future.exception()))  # as in {SIGSEGV(-11)}
        where = words.partition("Extension modules")[0].strip()[:WORDS]
        return f"{where}\n{_cause(int(codes[-1]) if codes else None, words)}".strip()

    def end(self) -> None:
        self._pool.shutdown(kill_workers=True)

    def _start(self) -> None:
        self._pool = ProcessPoolExecutor(max_workers=1, initializer=_prepare, initargs=(self._last_words,))
        with uninterrupted():
            self._pool.submit(int)  # so that the process starts now


def _cause(code: int | None, words: str) -> str:
    if code == 1 and words.startswith("Timeout"):
        return "it took longer than the time limit"
    if code is None or code >= 0:
        return "its process ended" + ("" if code is None else f" with exit code {code}")
    hint = ", which the system does where memory is short" if -code == signal.SIGKILL else ""
    return f"its process was killed by {signal.Signals(-code).name}{hint}"


def _prepare(last_words: Path) -> None:
    """Make a new worker process ready."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's to handle
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a killed parent leaves no workers
    write_last_words_to(last_words)


def in_worker() -> Callable[[Task], Done]:
    """Return the function that runs a task in another process, with this one's plugins."""
    return partial(_run, plugins.users_roots())


_turn = threading.Lock()


def _run(roots: list[str], task: Task) -> Done:
    with _turn:  # limits and threads are a process's: where it has several threads, they take turns
        irmbench.__path__ += [root for root in roots if root not in irmbench.__path__ and os.path.isdir(root)]
        torch.set_num_threads(1)
        return execution.run(task)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold interrupts back; processes that are started meanwhile never have one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def workers_wanted(workers: int | None, limits: Limits, device: str) -> bool:
    """Whether tasks run in processes of their own: always, but for a single worker without limits."""
    return bool(limits) or (workers or (1 if device == "cuda" else cores())) > 1


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
