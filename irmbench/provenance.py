"""What a result was made by: versions, commit, machine; enough to make it again."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

import irmbench
from irmbench.errors import writing
from irmbench.store import Record, Store
from irmbench.suite import Suite

PACKAGES = ("torch", "numpy", "scipy")


@cache
def stamp() -> dict[str, Any]:
    """Return what every record says of its origin."""
    return {
        "irmbench": irmbench.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}, {os.cpu_count()} cores",
    }


def write(folder: Path, suite: Suite, planned: list[str]) -> None:
    """Write run.json: the suite as it is run, the command, and the stamp; and planned.json, the ids of its trials."""
    run = {
        "suite": msgspec.to_builtins(suite),
        "planned_trials": len(planned),
        "command": _command(),
        "started": datetime.now(UTC).isoformat(),
        "made_by": stamp(),
    }
    _write(folder / "run.json", run)
    _write(folder / "planned.json", planned)


def finish(folder: Path, seconds: float) -> None:
    """Add to run.json how long the run took, from its start to its plots."""
    run = msgspec.json.decode((folder / "run.json").read_bytes())
    _write(folder / "run.json", run | {"seconds": seconds})


def asked_for(folder: Path) -> list[Record]:
    """Return the records of the trials that a folder's last run asked for; all of them where it does not say."""
    records = Store(folder).records()
    try:
        ids = msgspec.json.decode((folder / "planned.json").read_bytes(), type=set[str])
    except (OSError, ValueError):
        return list(records.values())
    return [record for key, record in records.items() if key in ids]


def planned_trials(folder: Path) -> int | None:
    """Return how many trials a folder's last run asked for, where it says so."""
    try:
        return int(msgspec.json.decode((folder / "run.json").read_bytes())["planned_trials"])
    except (OSError, ValueError, LookupError, TypeError):  # whatever the file may hold
        return None


def planned_suite(folder: Path) -> Suite | None:
    """Return the suite that a folder's last run asked for, where it says so in words that are known."""
    try:
        return msgspec.convert(msgspec.json.decode((folder / "run.json").read_bytes())["suite"], Suite)
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _write(path: Path, content: Any) -> None:
    with writing(path):
        path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")


def _command() -> str:
    if Path(sys.argv[0]).stem in ("irmbench", "__main__"):
        return shlex.join(["python", "-m", "irmbench", *sys.argv[1:]])
    return "irmbench.run, called from Python"


def _commit() -> str | None:
    """Return the checkout's commit, "+" where its code has changes, or None outside a checkout."""
    folder = Path(irmbench.__file__).parent
    if not (folder.parent / ".git").exists():
        return None
    try:
        changes = _git(folder, "status", "--porcelain", "--", ":/irmbench", ":/methods", ":/datasets")
        return _git(folder, "rev-parse", "HEAD") + ("+" if changes else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _processor() -> str:
    """Return the processor's model."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown processor"
    )
