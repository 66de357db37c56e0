"""What a result was made by: versions, commit, machine; enough to make it again."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

import irmbench
from irmbench.errors import UserError
from irmbench.store import Record, Store, write_whole
from irmbench.suite import Suite

PACKAGES = ("torch", "numpy", "scipy")


@cache
def stamp() -> dict[str, Any]:
    """Return what every record says of its origin."""
    return {
        "irmbench": irmbench.__version__,
        "commit": _commit(),
        "code": code(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}, {os.cpu_count()} cores",
    }


@cache
def code() -> str:
    """Return a hash of the engine: its modules and data, wherever it is installed; plugins have hashes of their own."""
    package = Path(irmbench.__file__).parent
    files = [path for pattern in ("*.py", "data/**/*") for path in package.glob(pattern) if path.is_file()]
    found = hashlib.blake2b(digest_size=6)
    for path in sorted(files):
        content = path.read_bytes()
        found.update(f"{path.relative_to(package).as_posix()} {len(content)}\n".encode() + content)
    return found.hexdigest()


def refuse_other_code(folder: Path, made_by: Counter[str], allowed: Sequence[str]) -> None:
    """Refuse to add to results that other code made, of how many by which code, unless it is allowed by its name."""
    others = sorted(made_by.keys() - {code(), *allowed})
    if others:
        made = ", ".join(f"{made_by[other]:,} by {other}" for other in others)
        keep = " ".join(f"--allow-code {other}" for other in others)
        raise UserError(
            f"{folder}: holds results of other code than this irmbench's, {code()} ({made}); "
            f"`{keep}` keeps them, `--fresh` deletes them"
        )


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


def asked_for(folder: Path) -> list[Record]:
    """Return the records of the trials that a folder's last run asked for; all of them where it does not say."""
    records = Store(folder).records()
    planned = planned_ids(folder)
    return [record for key, record in records.items() if planned is None or key in planned]


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
