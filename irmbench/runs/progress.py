"""How far a run is, by the work that its trials take and not by their number."""

from __future__ import annotations

import sys
import time
from typing import Any, Self

from tqdm import tqdm

BAR = "{percentage:3.0f}%|{bar}| {desc} [{elapsed}<{remaining}]"
EVERY = 60  # seconds between lines in a log


class Progress:
    """A bar on standard error, or a line a minute where that is no terminal.

    Its time left is from the rate of work since the first job.
    """

    def __init__(self, trials: int) -> None:
        self._trials, self._counted, self._planned, self._done = trials, 0, 0.0, 0.0
        self._started = self._said = time.monotonic()
        self.bar: tqdm[Any] = tqdm(total=0, desc="planning", bar_format=BAR, smoothing=0, disable=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def plan(self, work: float) -> None:
        """Say that more work is known of."""
        if work and not self._planned:
            self.bar.reset()  # the time that planning took tells nothing of the rate
            self._started = time.monotonic()
        self._planned += work
        self.bar.total = self._planned

    def advance(self, work: float) -> None:
        """Say that work is done."""
        self._done += work
        self.bar.update(work)
        if self.bar.disable and time.monotonic() - self._said >= EVERY:
            self._log()

    def count(self, trials: int) -> None:
        """Say that trials have their record."""
        self._counted += trials
        self.bar.set_description_str(f"{self._counted:,} of {self._trials:,} trials")

    def _log(self) -> None:
        self._said = time.monotonic()
        elapsed = self._said - self._started
        left = elapsed * (self._planned - self._done) / self._done
        spans = f"[{tqdm.format_interval(elapsed)}<{tqdm.format_interval(left)}]"
        share = f"{self._done / self._planned:.0%}"
        print(f"{share} {self._counted:,} of {self._trials:,} trials {spans}", file=sys.stderr, flush=True)
