"""The report of a run: one HTML file with everything in it, made of the files in the run's folder."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import jinja2

from irmbench.analysis.verdicts import DEFINITION, verdicts
from irmbench.errors import writing
from irmbench.report import outputs
from irmbench.report.figures import figures
from irmbench.report.suite_toml import to_toml
from irmbench.report.tables import Cell, ReportTable, number, result_tables
from irmbench.runs.loading import Contents, trials_of
from irmbench.runs.plan import planned_suite, run_of
from irmbench.runs.reasons import reason
from irmbench.runs.store import Record
from irmbench.suite import Selection

PARTS = Path(__file__).parents[1] / "data" / "report"  # the template, its style and its script
LARGEST = 5_000_000  # bytes of a CSV that goes into the page
STATUSES = ("ok", "failed", "not_applicable")


def write(folder: Path, found: Contents) -> Path:
    """Write report.html into a run's folder from its trials, tables and plots, and return its path.

    It needs no other file and no network.
    """
    page = _page(_context(folder, found))
    path = folder / "report.html"
    with writing(path, then="the records are kept"):
        path.write_text(page, encoding="utf-8")
    return path


def rebuild(folder: Path) -> Path:
    """Write a run's tables and plots again, and its report as ``write`` does; UserError where it has no records."""
    found = trials_of(folder)
    outputs.write(folder, found.frame, planned_suite(folder))
    return write(folder, found)


def _page(context: dict[str, Any]) -> str:
    """Return the page; whatever comes from plugins or data is escaped, and no script but ours may run."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PARTS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = ((PARTS / file).read_text(encoding="utf-8") for file in ("report.css", "report.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.j2").render(style=style, script=script, digest=digest, **context)


def _context(folder: Path, found: Contents) -> dict[str, Any]:
    """Return what the template shows."""
    run, suite = run_of(folder), planned_suite(folder)
    columns = map(str, found.frame.columns)
    records: list[Record] = found.frame.set_axis(list(columns), axis=1).to_dict("records")  # type: ignore[assignment]
    statuses = Counter(record["status"] for record in records)
    planned = run.get("planned_trials", len(records))
    return {
        "name": suite.name if suite else records[0].get("suite", folder.name),
        "description": suite.description if suite else "",
        "verdicts": verdicts(found.frame),
        "problems": found.problems,
        "definition": DEFINITION,
        "counts": {"planned": planned, "done": len(records)} | {s.replace("_", " "): statuses[s] for s in STATUSES},
        "missing": planned - len(records),
        "reasons": _reasons(records),
        "tables": result_tables(folder, suite.selection if suite else Selection()),
        "figures": figures(folder / "plots"),
        "toml": to_toml(suite) if suite else "",
        "command": run.get("command", ""),
        "facts": _facts(run, records),
        **_data(folder),
    }


def _reasons(records: list[Record]) -> ReportTable | None:
    """Return why trials have no result, the most frequent reason first, each with a trial to look at."""
    found: dict[str, list[Record]] = {}
    for record in records:
        if record["status"] != "ok":
            found.setdefault(reason(record), []).append(record)
    rows = [
        {"reason": Cell(text), "trials": number(len(of), ",d"), "one of them": Cell(of[0]["trial_id"])}
        for text, of in sorted(found.items(), key=lambda item: -len(item[1]))
    ]
    note = "Status, method and reason; `python -m irmbench rerun` runs a trial again by its id."
    return ReportTable("reasons", "Trials without a result", note, rows) if rows else None


def _facts(run: dict[str, Any], records: list[Record]) -> dict[str, str]:
    """Return when and by what a run was made; where its trials were made by several, all of them."""
    facts = {"started": run.get("started", ""), "seconds": f"{run['seconds']:.0f}" if "seconds" in run else ""}
    made_by: dict[str, dict[str, None]] = {}
    for stamp in (run.get("made_by", {}), *(record.get("made_by", {}) for record in records)):
        for key, value in stamp.items():
            made_by.setdefault(key, {})[str(value)] = None
    facts |= {key.replace("_", " "): "; ".join(values) for key, values in made_by.items()}
    return {key: value for key, value in facts.items() if value}


def _data(folder: Path) -> dict[str, dict[str, str]]:
    """Return the folder's CSV files as links that hold them, and the sizes of those that are too large for that."""
    files = {
        file.name: file.read_bytes() for file in sorted(folder.glob("*.csv"), key=lambda f: f.name != "trials.csv")
    }
    held = {name: content for name, content in files.items() if len(content) <= LARGEST}
    return {
        "data": {name: f"data:text/csv;base64,{base64.b64encode(content).decode()}" for name, content in held.items()},
        "large": {name: f"{len(files[name]) / 1e6:.0f} MB" for name in files if name not in held},
    }
