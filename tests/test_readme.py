"""What the README and CONTRIBUTING show works as shown."""

import re
from pathlib import Path

import pandas as pd
import pytest
from report_support import only_svg

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


SHOWN = {"shrunk_vrex": "README.md", "worst_risk": "CONTRIBUTING.md"}


def shown(page):
    """Return the method that a page shows."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S)
    return next(block for block in blocks if "Method" in block)


@pytest.mark.parametrize("page", SHOWN.values())
def test_the_method_shown_has_ten_lines(page):
    assert len([line for line in shown(page).split("@dataclass")[1].splitlines() if line.strip()]) <= 10


def test_the_methods_shown_appear_in_the_leaderboard_of_a_run(write_plugin, command_line, tmp_path, monkeypatch):
    for name, page in SHOWN.items():
        write_plugin("methods", name, shown(page))
    (tmp_path / "tiny.toml").write_text(SUITE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "150")
    with only_svg():
        code, out, _ = command_line("run", "tiny.toml", "--workers", "1")
    assert code == 0
    for name in SHOWN:
        assert re.search(rf"{name} \(Newton, [\d.]+ m?s\)", out)
        assert re.search(rf"{name} \(adam 20 steps, [\d.]+ m?s\)", out)
    board = pd.read_csv(tmp_path / "results" / "tiny" / "leaderboard.csv")
    assert set(board["method_label"]) == {"erm", *SHOWN}
    assert board["distance"].notna().all()
    assert (tmp_path / "results" / "tiny" / "plots").is_dir()


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
