"""The tables of `irmbench perf` as a person reads them in a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from irmbench.perf.penalty_times import STEP, Decision, Measurement, case_id, label
from irmbench.perf.records import Comparison, Record
from irmbench.perf.regressions import LEVEL, Ratio, Verdict
from irmbench.perf.training_loops import STEPS
from irmbench.perf.training_times import Compilation, OneSeed, Training

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


def trained(training: Training) -> Group:
    """Return the times of the training step, and below them what follows for growth and for the notebook."""
    table = _table("trials", "n", "d", "environments", "step", "a trial", caption="")
    table.columns[0].justify = "right"
    for step in training.steps:
        size = (step.size.trials, step.size.n, step.size.d, step.size.environments)
        table.add_row(*(f"{x:,}" for x in size), _duration(step.median), _duration(step.median / step.size.trials))
    caption = (  # not the table's own, which would be as narrow as the table
        "One step of gradient descent on IRMv1's objective, all trials at once, on moments, not compiled. n: examples "
        f"an environment, d: inputs. Medians of {len(training.steps[0].seconds)} interleaved rounds, "
        f"threads: {training.threads}."
    )
    slopes = ", ".join(f"{axis} {slope:z.2f}" for axis, slope in training.exponents.items())
    growth = f"growth exponents of a step (least-squares slopes of the logs): {slopes}"
    lines = (growth, *_one_seed(training.one_seed), _compilation(training.compilation))
    return Group("", table, Text(caption, "table.caption"), "", *map(Text, lines))


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
    return _duration(float(np.median(found.seconds["fast"])))


def _duration(seconds: float) -> str:
    scale, unit = next((s, u) for s, u in ((1.0, "s"), (1e-3, "ms"), (0.0, "µs")) if seconds >= s)
    return f"{seconds / (scale or 1e-6):.3g} {unit}"


def _one_seed(found: OneSeed) -> tuple[str, str]:
    notebook, engine = (_duration(float(np.median(seconds))) for seconds in (found.notebook, found.engine))
    ratio, rounds = found.speedup, len(found.engine)
    return (
        f"one seed of the notebook's experiment: its own loop (double backward, random halves of the examples) "
        f"{notebook} a step, the engine's ({found.runs_on}, moments of all examples) {engine}; "
        f"ratio {ratio.median:.3g} ({ratio.lo:.3g}–{ratio.hi:.3g}, {LEVEL:.0%} bootstrap interval over {rounds} "
        "interleaved rounds)",
        f"setting the engine up: {_duration(found.setup)}; ratio over {STEPS:,} steps with it, computed from these "
        f"times: {found.whole_speedup:.3g}",
    )


def _compilation(found: Compilation) -> str:
    if not found.possible:
        return f"nothing can be compiled here; trying takes {_duration(found.setup)}"
    traced, compiled = (_duration(float(np.median(seconds))) for seconds in (found.traced, found.compiled))
    return (
        f"compiling the step of {found.trials:,} trials: {_duration(found.setup)}, first in its process, nothing "
        f"cached; {traced} a step before and {compiled} after, ratio {found.speedup.median:.3g}; pays from "
        f"{found.break_even:,.0f} steps on"
    )


def _ratio(of: Ratio, digits: int) -> Text:
    text = Text(f"{of.median:.{digits}f} ")
    return text.append(f"{of.low:.{digits}f}–{of.high:.{digits}f}", style="dim")


def _verdict(verdict: Verdict) -> Text:
    return Text(verdict, style=COLOURS[verdict])
