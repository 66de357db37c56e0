"""Processes: how many fit on this machine, what they have of interrupts, and what they die of."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PR_SET_PDEATHSIG = 1  # of prctl(2)


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold interrupts back; processes that are started meanwhile never have one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def cause(code: int | None, words: str = "") -> str:
    """Return in words what a process died of, from its exit code, or minus a signal, and what it said in the end."""
    if code == 1 and words.startswith("Timeout"):
        return "it took longer than the time limit"
    if code is None or code >= 0:
        return "its process ended" + ("" if code is None else f" with exit code {code}")
    hint = ", as the system does where memory is short" if -code == signal.SIGKILL else ""
    return f"its process was killed by {signal.Signals(-code).name}{hint}"


def end_with(parent: int) -> None:
    """See that this process ends when its parent is killed, and has no interrupts, which are the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
