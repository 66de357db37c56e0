"""Limits of time and memory on what a process runs at once, and where it says what it died of."""

from __future__ import annotations

import faulthandler
import math
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from irmbench.errors import UserError

STATM = Path("/proc/self/statm")  # pages of memory that this process has, of all its address space first
MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """What one trial may take; None for no limit.

    A batch is held to the limits of one trial, for its steps cost little more. One that exceeds them is halved, so that
    a trial fails only if it exceeds them alone. Beyond its time the process dies, even in C code that never returns;
    beyond its memory whatever asks for more raises.
    """

    seconds: float | None = None
    mebibytes: int | None = None

    def __bool__(self) -> bool:
        return self.seconds is not None or self.mebibytes is not None

    def as_record(self) -> list[float | None]:
        """Return the two numbers, as JSON has them."""
        return [self.seconds, self.mebibytes]

    def check(self, device: str) -> None:
        """Raise UserError where the limits cannot be held."""
        for option, value in (("--time-limit", self.seconds), ("--memory-limit", self.mebibytes)):
            if value is not None and not 0 < value < math.inf:
                raise UserError(f"{option}: expected a number above 0, got {value}")
        if self.mebibytes is None:
            return
        if not STATM.exists():
            raise UserError("--memory-limit: only Linux can hold a process to it; leave it out")
        if device == "cuda":
            raise UserError(
                "--memory-limit: CUDA reserves more addresses than any limit; leave it out, or --device cpu"
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold this process to the limits."""
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        if self.seconds is not None:
            faulthandler.dump_traceback_later(self.seconds, exit=True, file=last_words)
        if self.mebibytes is not None:
            held = int(STATM.read_text().split()[0]) * resource.getpagesize()
            allowed = [limit for limit in (soft, held + self.mebibytes * MIB) if limit != resource.RLIM_INFINITY]
            resource.setrlimit(resource.RLIMIT_AS, (min(allowed), hard))
        try:
            yield
        finally:
            if self.mebibytes is not None:
                resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
            if self.seconds is not None:
                faulthandler.cancel_dump_traceback_later()


NO_LIMITS = Limits()
last_words: IO[Any] = sys.__stderr__ or sys.stderr  # where a process that dies of its time says in what line it was


def is_users(error: BaseException) -> bool:
    """Whether an error is the user's interrupt: it reaches main threads that listen, and all else is a plugin's own."""
    listens = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return isinstance(error, KeyboardInterrupt) and listens and threading.current_thread() is threading.main_thread()
