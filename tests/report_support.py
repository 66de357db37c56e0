"""A run's folder made by hand, with names and errors that would break a page that does not escape them."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec

from irmbench.plots import style
from irmbench.report import page
from irmbench.suite import parse

EVIL = "<script>document.title = 'broken'</script>"
MARKUP = "</title></style><img src=x onerror=\"document.title = 'broken'\"> & 'quotes' --> ]]>"
SOLVERS = {"population": "Newton", "converged": "Newton", "official": "adam 2,000 steps"}
CLASSES = ("Y-noise constant", "Y-noise varies")
SUITE = """
name = "by-hand"
description = "{description}"
[[experiments]]
datasets = ["irm_appendix_d"]
methods = ["erm", "vrex"]
"""


def trial(method: str, solver: str, of_class: str, seed: int, other: float) -> dict[str, Any]:
    """Return the record of a trial whose coefficients are (1, other), where (1, 0) would be right."""
    dataset = f"chain {MARKUP} {of_class}"
    record = {"trial_id": f"{method} {solver} {of_class} {seed}", "finished": "2026-01-01", "status": "ok", "schema": 1}
    record |= {"method": method.split()[0], "method_label": method, "solver": solver, "solved_by": SOLVERS[solver]}
    record |= {"dataset": "chain", "dataset_label": dataset, "dataset_params": {}, "assumption_class": of_class}
    record |= {"method_params": {}, "solver_params": {}, "data_seed": seed}
    record |= {"family": "risk-based", "seconds": 0.01, "name": "", "made_by": {"commit": "abc", "torch": MARKUP}}
    record |= {"coefficients": [1.0, other], "truth": [1.0, 0.0], "causal": [True, False]}
    return record | {"distance": other, "error_causal": 0.0, "error_noncausal": other**2, "draw": 0}


def records() -> list[dict[str, Any]]:
    """Return trials of three methods, one of which is named as a script, and one that failed."""
    methods = {"erm": 1.0, "vrex": 0.01, f"mine {EVIL}": 0.5}
    ok = [
        trial(method, solver, of_class, seed, base * (1 + 0.1 * seed) * (k + 1))
        for method, base in methods.items()
        for solver in SOLVERS
        for k, of_class in enumerate(CLASSES)
        for seed in range(3)
    ]
    failed = trial("broken", "converged", CLASSES[0], 0, 1.0) | {"status": "failed", "error": f"Traceback\n{MARKUP}"}
    return [*ok, {key: value for key, value in failed.items() if key not in ("distance", "coefficients")}]


def make_run(folder: Path, trials: list[dict[str, Any]], **run: Any) -> Path:
    """Write a run's records and run.json as a run leaves them, its tables, plots and report; return the report."""
    (folder / "records").mkdir(parents=True)
    (folder / "records" / "0.jsonl").write_text("".join(json.dumps(record) + "\n" for record in trials))
    suite = parse(SUITE.format(description=json.dumps(MARKUP)[1:-1]))
    told = {"suite": msgspec.to_builtins(suite), "planned_trials": len(trials), "command": f"run it {MARKUP}"} | run
    (folder / "run.json").write_text(json.dumps(told))
    with only_svg():
        return page.rebuild(folder)


def only_svg() -> AbstractContextManager[Any]:
    """Return the context in which figures are drawn as SVG alone, which a report holds; others take longer."""
    return patch.dict(style.FORMATS, {"svg": style.FORMATS["svg"]}, clear=True)
