"""`irmbench perf check` of a kernel in a repository of its own, measured for real."""

import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest

from irmbench.perf import penalty_times

ROOT = Path(__file__).resolve().parents[1]
# The kernel, and a slowdown: a share of the calls is made twice.
SLOWER = """
_honest, _calls = irm_penalty, [0]


def irm_penalty(predictions, targets, **options):
    _calls[0] += 1
    if _calls[0] % 4 == 0:
        torch.autograd.grad(_honest(predictions, targets, **options).sum(), predictions)
    return _honest(predictions, targets, **options)
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with the package in it, committed: what `perf` measures, of one case in one measuring process."""
    shutil.copytree(ROOT / "irmbench", tmp_path / "irmbench", ignore=shutil.ignore_patterns("__pycache__"))
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "base"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *command], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(penalty_times, "PACKAGE", tmp_path / "irmbench")
    monkeypatch.setattr(penalty_times, "GRID", penalty_times.GRID[1:2])
    monkeypatch.setattr(penalty_times, "PROCESSES", 1)
    return tmp_path


@pytest.fixture
def check(repository, command_line):
    """The command line of a check against what is committed."""
    return partial(command_line, "perf", "check", "--base", "HEAD")


@pytest.mark.slow
def test_a_slowdown_of_a_quarter_is_called_a_regression(repository, check):
    kernel = repository / "irmbench" / "penalty.py"
    kernel.write_text(kernel.read_text() + SLOWER)
    for _ in range(5):  # a busy machine may be inconclusive: then one measures again
        code, out, _ = check()
        if "inconclusive against HEAD" not in out:
            break
    assert code == 1
    assert "regressed against HEAD" in out


@pytest.mark.slow
def test_the_kernel_against_itself_is_no_regression(check):
    code, out, err = check()
    assert code in (0, 3), out + err
