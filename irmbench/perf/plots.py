"""Figures of performance records: how times grow, and the ratio to the reference over commits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from irmbench.errors import writing
from irmbench.perf.penalty_times import STEP, Measurement, case_id, label
from irmbench.perf.records import ROOT, Record
from irmbench.perf.regressions import LEVEL
from irmbench.perf.timing import QUICK_CASES
from irmbench.perf.training_loops import Size
from irmbench.perf.training_times import Step, Training
from irmbench.plots.style import (
    DOUBLE,
    LOOKS,
    SINGLE,
    Look,
    draw_legend,
    joined,
    looks_of,
    make_figure,
    save,
    styled,
    wrapped,
)
from irmbench.plots.timing import ARMS

FEW = 6  # records that have room in one column
ARM_LOOKS = looks_of(ARMS.values())
CASE_LOOKS = dict(zip(QUICK_CASES, LOOKS, strict=False))
GROWTH_WORDS = {"trials": "trials", "n": "n, examples", "d": "d, inputs", "environments": "environments"}
Growth = dict[int, list[Measurement]]  # by environments, in the order of n


def save_scaling(record: Record) -> list[Path]:
    """Save how times grow, beside the record: those of the penalty, and where measured of the training step."""
    name = record.path.stem
    with writing(record.path, "the plot"), styled():
        paths = save(penalty_figure(record), record.path.parent, name)
        if record.training:
            paths += save(training_figure(record.training, name), record.path.parent, f"{name}_training")
    return paths


def penalty_figure(record: Record) -> Figure:
    """Return the figure of how the arms' seconds grow with n."""
    grown = _growth(list(record.measurements.values()))
    caption = (
        f"Medians of seconds a call, forward and backward. {STEP.dtype}, {STEP.loss} loss, {STEP.estimator} "
        f"estimator; record {record.name}. Growth exponents between the two largest n: {_exponents(grown)}."
    )
    return make_figure(partial(scaling, grown), (len(grown), 3), 2.2, "Time of the IRM penalty against n", caption)


def training_figure(training: Training, record: str) -> Figure:
    """Return the figure of how a training step's seconds grow with trials, n, d and environments."""
    size, exponents = Size(), training.exponents
    slopes = ", ".join(f"{axis} {slope:z.2f}" for axis, slope in exponents.items())
    caption = (
        "One step of gradient descent on IRMv1's objective, all trials at once, on moments, not compiled. Points: "
        f"medians of {len(training.steps[0].seconds)} interleaved rounds; lines: their quartiles; threads: "
        f"{training.threads}. One thing grows at a time, the others are: {size.trials} trials, {size.n:,} examples an "
        f"environment, {size.d} inputs, {size.environments} environments. Growth exponents (least-squares slopes of "
        f"the logs): {slopes}. Record {record}."
    )
    draw = partial(training_scaling, training)
    return make_figure(draw, (len(exponents), 4), 2.0, "Time of a training step", caption, one_scale=False)


def training_scaling(training: Training, axes: Sequence[Axes]) -> None:
    """Draw the seconds of a training step, an axes for each thing that grows by itself."""
    for ax, axis in zip(axes, training.exponents, strict=True):
        step_growth(training.along(axis), axis, ax)
    axes[0].set_ylabel("seconds a step")


def step_growth(steps: Sequence[Step], axis: str, ax: Axes) -> None:
    """Draw the seconds of training steps against one of their sizes: medians over rounds, and their quartiles."""
    sizes = [getattr(step.size, axis) for step in steps]
    low, median, high = np.quantile([step.seconds for step in steps], [0.25, 0.5, 0.75], axis=1)
    ax.vlines(sizes, low, high, color=LOOKS[0]["color"], linewidth=1)
    ax.plot(sizes, median, **joined(LOOKS[0]))
    ax.set(xscale="log", yscale="log", xlabel=GROWTH_WORDS[axis])
    ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
    ax.minorticks_off()


def scaling(grown: Growth, axes: Sequence[Axes]) -> None:
    """Draw the seconds of every arm against n, an axes per number of environments."""
    for ax, (environments, measurements) in zip(axes, grown.items(), strict=True):
        penalty_growth(measurements, ax)
        ax.set_title(f"{environments} environment{'s' if environments > 1 else ''}")
    axes[0].set_ylabel("seconds")
    draw_legend(axes[-1], {name: joined(look) for name, look in ARM_LOOKS.items()})


def penalty_growth(measurements: Sequence[Measurement], ax: Axes) -> None:
    """Draw the seconds of every arm against n."""
    for arm, name in ARMS.items():
        seconds = [np.median(found.seconds[arm]) for found in measurements]
        ax.plot([found.case.n for found in measurements], seconds, **joined(ARM_LOOKS[name]))
    ax.set(xscale="log", yscale="log", xlabel="n, examples an environment")


def save_history(records: Sequence[Record]) -> list[Path]:
    """Save the ratio to the reference over records, a facet per machine; return the files."""
    machines = len({record.fingerprint for record in records})
    caption = (
        "Double backward / fast, above 1 is faster. Points: median of paired ratios; bars: their "
        f"{LEVEL:.0%} hierarchical bootstrap interval over processes and pairs. {STEP.dtype}, {STEP.loss} loss, "
        f"{STEP.estimator} estimator. +: with uncommitted changes. Machines have panels of their own: only what was "
        "measured on one machine compares."
    )
    title, width = "Speed of the IRM penalty over commits", SINGLE if len(records) <= FEW else DOUBLE
    with writing(ROOT, "the plot"), styled():
        figure = make_figure(partial(history, records), (machines, 1), 2.6, title, caption, width=width)
        return save(figure, ROOT, "history")


def history(records: Sequence[Record], axes: Sequence[Axes]) -> None:
    """Draw the ratio to the reference of the cases that grow, an axes per machine, a step per record in time."""
    in_time = sorted(records, key=lambda record: str(record.content["datetime"]))
    machines = dict.fromkeys(record.fingerprint for record in records)
    for ax, machine in zip(axes, machines, strict=True):
        machine_history(in_time, machine, ax)
    draw_legend(axes[0], {label(case): joined(look) for case, look in CASE_LOOKS.items()})


def machine_history(records: Sequence[Record], machine: str, ax: Axes) -> None:
    """Draw the ratios that one machine measured; the records of others keep their places."""
    own = [(x, record) for x, record in enumerate(records) if record.fingerprint == machine]
    for shift, (case, look) in zip(np.linspace(-0.15, 0.15, len(CASE_LOOKS)), CASE_LOOKS.items(), strict=True):
        _steps(ax, case_id(case), own, float(shift), look)
    names = [record.name[5:12] + ("+" if record.name.endswith("+") else "") for record in records]
    ax.set_xticks(range(len(records)), names, rotation=45, ha="right")
    ax.set(yscale="log", xlim=(-0.5, len(records) - 0.5), ylabel="double backward / fast")
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_locator(NullLocator())
    info = own[0][1].content["machine_info"]
    ax.set_title(wrapped(f"{machine}: {info['machine']}, {info['device']}, PyTorch {info['torch']}", 44))


def _steps(ax: Axes, case: str, records: Sequence[tuple[int, Record]], shift: float, look: Look) -> None:
    """Draw one case of one machine; the shift keeps the bars of equal ratios apart."""
    having = [(x + shift, record.measurements[case]) for x, record in records if case in record.infos]
    x = [at for at, _ in having]
    median, low, high = np.reshape([found.ratio("reference", "fast") for _, found in having], (-1, 3)).T
    ax.vlines(x, low, high, color=look["color"], linewidth=1)
    ax.plot(x, median, **joined(look), drawstyle="steps-mid")


def _growth(measurements: Sequence[Measurement]) -> Growth:
    """Return the cases that differ from the notebook's step in their sizes alone, where there are several sizes."""
    grown: Growth = {}
    for found in sorted(measurements, key=lambda found: (found.case.environments, found.case.n)):
        case = found.case
        if (case.dtype, case.loss, case.estimator) == (STEP.dtype, STEP.loss, STEP.estimator):
            grown.setdefault(case.environments, []).append(found)
    return {environments: of for environments, of in grown.items() if len(of) > 1}


def _exponents(grown: Growth) -> str:
    """Return the slopes of log seconds in log n at the right end of each panel."""
    parts = []
    for environments, (*_, smaller, larger) in grown.items():
        step = np.log(larger.case.n / smaller.case.n)
        slopes = {a: np.log(np.median(larger.seconds[a]) / np.median(smaller.seconds[a])) / step for a in ARMS}
        words = ", ".join(f"{ARMS[arm]} {slope:.2f}" for arm, slope in slopes.items())
        parts.append(f"{environments} environment{'s' if environments > 1 else ''}: {words}")
    return "; ".join(parts)
