"""What a folder's last run was asked for: run.json, with what made it, and planned.json, the ids of its trials."""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from irmbench.runs.provenance import stamp
from irmbench.runs.store import Store, write_whole

if TYPE_CHECKING:
    from irmbench.suite import Suite


def write(store: Store, suite: Suite, planned: list[str]) -> None:
    """Write run.json: the suite as it is run, the command, and the stamp; and planned.json, the ids of its trials.

    The shards that are there, and how those of this run are named, tell what is copied into the folder later.
    """
    run = {
        "suite": msgspec.to_builtins(suite),
        "planned_trials": len(planned),
        "command": _command(),
        "started": datetime.now(UTC).isoformat(),
        "made_by": stamp(),
        "run": store.run,
        "earlier_shards": [shard.stem for shard in store.shards()],
    }
    _write(store.folder / "planned.json", planned)
    _write(store.folder / "run.json", run)


def finish(folder: Path, seconds: float) -> None:
    """Add to run.json how long the run took, from its start to its plots."""
    run = msgspec.json.decode((folder / "run.json").read_bytes())
    _write(folder / "run.json", run | {"seconds": seconds})


def planned_ids(folder: Path) -> dict[str, int] | None:
    """Return the ids of the trials that a folder's last run asked for, each with its place, where it says so."""
    try:
        ids = msgspec.json.decode((folder / "planned.json").read_bytes(), type=list[str])
    except (OSError, ValueError):
        return None
    return {trial_id: place for place, trial_id in enumerate(ids)}


def run_of(folder: Path) -> dict[str, Any]:
    """Return what a folder's run.json says; nothing where there is none that can be read."""
    try:
        return msgspec.json.decode((folder / "run.json").read_bytes(), type=dict[str, Any])
    except (OSError, ValueError):
        return {}


def planned_trials(folder: Path) -> int | None:
    """Return how many trials a folder's last run asked for, where it says so."""
    planned = run_of(folder).get("planned_trials")
    return planned if isinstance(planned, int) else None


def planned_suite(folder: Path) -> Suite | None:
    """Return the suite that a folder's last run asked for, where it says so in words that are known."""
    from irmbench.suite import Suite  # slow to import

    try:
        return msgspec.convert(run_of(folder).get("suite"), Suite)
    except msgspec.ValidationError:
        return None


def _write(path: Path, content: Any) -> None:
    write_whole(path, msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")


def _command() -> str:
    if Path(sys.argv[0]).stem in ("irmbench", "__main__"):
        return shlex.join(["python", "-m", "irmbench", *sys.argv[1:]])
    return "irmbench.run, called from Python"
