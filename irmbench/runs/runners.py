"""The process that plugins run in: forked from a worker that has loaded everything, so that another costs little."""

from __future__ import annotations

import faulthandler
import gc
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from multiprocessing.connection import Connection
from typing import Any

from irmbench.runs import limits
from irmbench.runs.processes import cause, end_with

WORDS = 4000  # characters of where a process was when it died


class RunnerDiedError(BrokenExecutor):
    """The process that ran a call died: where it was, as far as known, and in the last line what it died of."""


class Runner:
    """Runs calls in a child of this process, one after another; one that dies has a successor.

    This process itself runs none, so that what it forks is fresh: PyTorch's threads, where there were some, would not
    survive in a child.
    """

    def __init__(self) -> None:
        self._last_words = tempfile.TemporaryFile()  # noqa: SIM115
        self._child: multiprocessing.process.BaseProcess | None = None

    def __call__(self, call: Callable[..., Any], *args: Any) -> Any:
        """Return what the call returns; RunnerDiedError where its process dies."""
        if self._child is None:
            self._fork()
        try:
            self._pipe.send((call, args))
            return self._pipe.recv()
        except (EOFError, OSError) as error:
            raise RunnerDiedError(self._epitaph()) from error

    def _fork(self) -> None:
        self._last_words.seek(0)  # of the child too
        self._last_words.truncate()
        self._pipe, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("fork")
        self._child = context.Process(target=_serve, args=(theirs, self._pipe, self._last_words), daemon=True)
        self._child.start()
        theirs.close()

    def _epitaph(self) -> str:
        assert self._child is not None
        self._child.join()
        code, self._child = self._child.exitcode, None
        self._last_words.seek(0)
        words = self._last_words.read().decode(errors="replace")
        where = words.partition("Extension modules")[0].strip()[:WORDS]
        return f"{where}\n{cause(code, words)}".strip()


def _serve(pipe: Connection, parents: Connection, last_words: Any) -> None:
    """Run what comes through the pipe until it is closed."""
    parents.close()  # or the pipe would never be
    end_with(os.getppid())
    faulthandler.enable(last_words)
    limits.last_words = last_words
    gc.freeze()  # what is loaded is no garbage: a collection that looks at all of PyTorch takes as long as many trials
    while True:
        try:
            call, args = pipe.recv()
        except EOFError:
            return
        pipe.send(call(*args))
