"""What the README and CONTRIBUTING show works as shown."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SUITE = """
name = "tiny"
seeds = 2
[[experiments]]
datasets = [{ id = "irm_appendix_d", n = 100 }]
methods = ["erm"]
solvers = ["converged", { name = "official", steps = 20 }]
open = true
"""


@pytest.mark.parametrize(("page", "name"), [("README.md", "shrunk_vrex"), ("CONTRIBUTING.md", "worst_risk")])
def test_the_method_shown_appears_in_the_leaderboard(page, name, tmp_path):
    code = next(
        block for block in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S) if "Method" in block
    )
    assert len([line for line in code.split("@dataclass")[1].splitlines() if line.strip()]) <= 10
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / f"{name}.py").write_text(code)
    (tmp_path / "tiny.toml").write_text(SUITE)
    done = subprocess.run(
        [sys.executable, "-m", "irmbench", "run", "tiny.toml", "--out", "run", "--workers", "1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "IRMBENCH_PATH": str(tmp_path), "COLUMNS": "150"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(rf"{name} \(Newton, [\d.]+ ms\)", done.stdout)
    assert re.search(rf"{name} \(adam 20 steps, [\d.]+ ms\)", done.stdout)


def test_every_file_the_readme_links_to_is_there():
    for page in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
            assert "://" in target or (ROOT / target).exists(), f"{page} links to {target}"


def test_every_command_the_readme_shows_is_one():
    from irmbench.cli import app

    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    known |= {group.name for group in app.registered_groups}
    shown = set(re.findall(r"python -m irmbench ([a-z]+)", (ROOT / "README.md").read_text()))
    assert {"run", "list", "show"} <= shown <= known
