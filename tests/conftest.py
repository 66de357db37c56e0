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

import irmbench
from irmbench import cli

settings.register_profile("irmbench", deadline=None)  # a busy machine is no failure
settings.load_profile("irmbench")

ROOT = Path(__file__).resolve().parents[1]
RunPython = Callable[..., str]
CommandLine = Callable[..., tuple[int, str, str]]
WritePlugin = Callable[[str, str, str], Path]


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


@pytest.fixture
def command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Run ``irmbench *arguments`` in this process; return the exit code, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["irmbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return stopped.value.code or 0, *capsys.readouterr()

    return run


@pytest.fixture
def write_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WritePlugin:
    """Write a plugin's file into a folder of a user's own that is on the plugin path; names must differ over tests."""
    folder = tmp_path / "mine"
    for kind in ("methods", "datasets"):
        (folder / kind).mkdir(parents=True)
    monkeypatch.setattr(irmbench, "__path__", [*irmbench.__path__, str(folder)])

    def write(kind: str, name: str, code: str) -> Path:
        file = folder / kind / f"{name}.py"
        file.write_text(code)
        return file

    return write
