"""How far a run is, by the work that its trials take and not by their number."""

from __future__ import annotations

from typing import Any, Self

from tqdm import tqdm

BAR = "{percentage:3.0f}%|{bar}| {desc} [{elapsed}<{remaining}]"


class Progress:
    """A bar on standard error, where that is a terminal; its time left is from the rate of work since the first job."""

    def __init__(self, trials: int) -> None:
        self._trials, self._counted, self._planned = trials, 0, 0.0
        self.bar: tqdm[Any] = tqdm(total=0, desc="planning", bar_format=BAR, smoothing=0, disable=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def plan(self, work: float) -> None:
        """Say that more work is known of."""
        if work and not self._planned:
            self.bar.reset()  # the time that planning took tells nothing of the rate
        self._planned += work
        self.bar.total = self._planned

    def advance(self, work: float) -> None:
        """Say that work is done."""
        self.bar.update(work)

    def count(self, trials: int) -> None:
        """Say that trials have their record."""
        self._counted += trials
        self.bar.set_description_str(f"{self._counted:,} of {self._trials:,} trials")
