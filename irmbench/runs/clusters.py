"""Dask: a cluster on this machine, or one that runs already, wherever its workers are."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing import resource_tracker
from typing import Any

from irmbench import plugins
from irmbench.errors import UserError
from irmbench.runs.execution import Done
from irmbench.runs.executors import Pool, run_with
from irmbench.runs.planning import Task
from irmbench.runs.processes import uninterrupted

PATIENCE = 10  # seconds for a scheduler to answer


@contextmanager
def dask_pool(address: str, workers: int) -> Iterator[Pool]:
    """Yield a pool on a running scheduler, or without an address on as many workers of a cluster on this machine.

    As many tasks are under way as there are worker processes. Raises UserError where no scheduler answers.
    """
    import dask  # slow to import, and an extra
    from distributed import Client, KilledWorker, LocalCluster

    resource_tracker.ensure_running()  # now, for its start would let interrupts through again
    with ExitStack() as stack:
        with uninterrupted():  # a process started from here leaves interrupts to this one
            if address:
                client = stack.enter_context(_answering(Client, address))
            else:
                # A task is tried again here, where deaths are counted, and not by the scheduler.
                stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": 0}))
                cluster = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    memory_limit=None,
                    dashboard_address="127.0.0.1:0",  # a port that is free: another cluster's is no concern of this one
                    silence_logs=logging.CRITICAL,
                )
                client = stack.enter_context(Client(stack.enter_context(cluster)))
        executor = client.get_executor(pure=False)
        stack.callback(executor.shutdown, wait=False)  # what is under way when a run is interrupted has no end
        yield Pool(executor, partial(_in_turn, plugins.users_roots()), _Width(client), (KilledWorker,), _epitaph)


def _in_turn(roots: list[str], task: Task) -> Done:
    """Run a task in a Dask worker, one at a time: limits and threads are a process's."""
    with _turn:
        return run_with(roots, task)


_turn = threading.Lock()


class _Width:
    """How many worker processes a cluster has, asked for once a second; 1 while it has none, so that a task waits."""

    def __init__(self, client: Any) -> None:
        self._client, self._known, self._at = client, 1, -math.inf

    def __call__(self) -> int:
        if time.monotonic() - self._at > 1:
            self._known, self._at = max(1, len(self._client.nthreads())), time.monotonic()
        return self._known


def _answering(client: Callable[..., Any], address: str) -> Any:
    try:
        return client(address, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"--executor dask:{address}: no scheduler answers: {reason}") from error


def _epitaph(error: Exception) -> str:
    return "its Dask worker died; the worker's log may say of what"
