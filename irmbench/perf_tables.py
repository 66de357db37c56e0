"""The tables of `irmbench perf` as a person reads them in a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from irmbench.perf_records import Comparison, Record
from irmbench.performance import STEP, Decision, Measurement, case_id, label
from irmbench.regressions import LEVEL, Ratio, Verdict

COLOURS: dict[Verdict, str] = {"regressed": "bold red", "improved": "green", "ok": "", "inconclusive": "yellow"}
ARMS = "reference: double backward, one environment after another; bound: the bytes that must move."
BOOTSTRAP = f"{LEVEL:.0%} hierarchical bootstrap interval over processes and pairs"


def measured(measurements: Sequence[Measurement]) -> Table:
    """Return the timings of the working tree's penalty."""
    table = _table("case", "time", "reference / fast", "fast / bound", caption=f"{_sizes(measurements)} {ARMS}")
    for found in measurements:
        ratios = (found.ratio("reference", "fast"), found.ratio("fast", "bound"))
        table.add_row(label(found.case), _time(found), *(_ratio(ratio, 2) for ratio in ratios))
    return table


def decided(decisions: Sequence[Decision]) -> Table:
    """Return the verdicts of a check."""
    caption = (
        f"{_sizes([d.measurement for d in decisions])} ±: what a ratio of identical code may differ from 1 by on this "
        "machine, at least 3%. regressed, improved: the interval lies beyond it, and again in a rerun. "
        f"{ARMS}"
    )
    table = _table("case", "time", "ref/\nfast", "fast/\nbound", "fast/base", "±", "verdict", caption=caption)
    for decision in decisions:
        found = decision.measurement
        medians = (found.ratio("reference", "fast").median, found.ratio("fast", "bound").median)
        table.add_row(
            label(found.case),
            _time(found),
            *(f"{median:.3g}" for median in medians),
            _ratio(decision.ratio, 3),
            f"{decision.tolerance:.0%}",
            _verdict(decision.verdict),
        )
    return table


def compared(comparisons: Sequence[Comparison]) -> Table:
    """Return the verdicts on two records."""
    caption = (
        f"Later over earlier, each as its ratio to the reference measured beside it and the {BOOTSTRAP}. "
        "Nothing was run again: `perf check` confirms."
    )
    table = _table("case", "later / earlier", "±", "verdict", caption=caption)
    for found in comparisons:
        row = (label(found.case), _ratio(found.ratio, 3), f"{found.tolerance:.0%}", _verdict(found.verdict))
        table.add_row(*row)
    return table


def history(records: Sequence[Record]) -> Table:
    """Return a line a record, with the notebook's step."""
    caption = f"reference / fast of {label(STEP)}: median of paired ratios and the {BOOTSTRAP}."
    table = _table("machine", "record", "time", "reference / fast", "verdicts", caption=caption)
    for record in records:
        step = record.measurements.get(case_id(STEP))
        verdicts = [info["verdict"] for info in record.infos.values() if info["verdict"]]
        counts = [f"{verdicts.count(verdict)} {verdict}" for verdict in COLOURS if verdict in verdicts]
        ratio = _ratio(step.ratio("reference", "fast"), 2) if step else Text("not measured", style="dim")
        when = record.content["datetime"][:10]
        table.add_row(record.fingerprint, record.name, when, ratio, "\n".join(counts) or "no check")
    return table


def _table(*headers: str, caption: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False, caption=caption, caption_justify="left")
    for i, header in enumerate(headers):
        table.add_column(
            header, justify="right" if i and header not in ("verdict", "verdicts") else "left", no_wrap=True
        )
    return table


def _sizes(measurements: Sequence[Measurement]) -> str:
    shapes = [found.seconds["fast"].shape for found in measurements]
    fewest, most = min(pairs for _, pairs in shapes), max(pairs for _, pairs in shapes)
    pairs = f"{fewest} to {most}" if fewest < most else f"{most}"
    return (
        f"Environments × examples, forward and backward. Medians of {shapes[0][0]} processes of {pairs} pairs each, "
        f"and the {BOOTSTRAP}."
    )


def _time(found: Measurement) -> str:
    seconds = float(np.median(found.seconds["fast"]))
    scale, unit = next((s, u) for s, u in ((1.0, "s"), (1e-3, "ms"), (0.0, "µs")) if seconds >= s)
    return f"{seconds / (scale or 1e-6):.3g} {unit}"


def _ratio(of: Ratio, digits: int) -> Text:
    text = Text(f"{of.median:.{digits}f} ")
    return text.append(f"{of.low:.{digits}f}–{of.high:.{digits}f}", style="dim")


def _verdict(verdict: Verdict) -> Text:
    return Text(verdict, style=COLOURS[verdict])
