"""What a result was made by: versions, commit, machine; enough to make it again."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import irmbench
from irmbench import plugins
from irmbench.errors import UserError

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
    found = (path for pattern in ("**/*.py", "data/**/*") for path in package.glob(pattern) if path.is_file())
    files = [path for path in found if path.relative_to(package).parts[0] not in plugins.BASES]
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(files):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(package).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


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
