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
from irmbench.errors import UserError
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


def write(folder: Path, suite: Suite, planned: int) -> None:
    """Write run.json: the suite as it was run, the command, and the stamp."""
    run = {
        "suite": msgspec.to_builtins(suite),
        "planned_trials": planned,
        "command": shlex.join(["python", "-m", "irmbench", *sys.argv[1:]]),
        "started": datetime.now(UTC).isoformat(),
        "made_by": stamp(),
    }
    try:
        (folder / "run.json").write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=2) + b"\n")
    except OSError as error:
        raise UserError(f"{folder / 'run.json'}: cannot be written: {error.strerror}") from error


def _commit() -> str | None:
    """Return the checkout's commit, "+" where it has changes, or None outside a checkout."""
    folder = Path(irmbench.__file__).parent
    if not (folder.parent / ".git").exists():
        return None
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True)
        changes = subprocess.run(
            ["git", "status", "--porcelain"], cwd=folder, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if changes.stdout.strip() else "")


def _processor() -> str:
    """Return the processor's model."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown processor"
    )
