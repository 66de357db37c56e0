"""Settings that every test runs under."""

import os

# One thread per process: the tests already run two processes, and more threads only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("irmbench", deadline=None)  # a busy machine is no failure
settings.load_profile("irmbench")

ROOT = Path(__file__).resolve().parents[1]
RunPython = Callable[..., str]


@pytest.fixture
def run_python(tmp_path: Path) -> RunPython:
    """Run ``python *arguments`` on this checkout in an empty folder; return what it prints."""

    def run(*arguments: str, **environment: str) -> str:
        variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
