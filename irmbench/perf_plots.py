"""Figures of performance records: how time grows with n, and the ratio to the reference over commits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from irmbench.errors import writing
from irmbench.perf_records import ROOT, Record
from irmbench.performance import STEP, Measurement, case_id, label
from irmbench.plots import ARMS, LOOKS, STYLE, Look, draw_legend, make_figure
from irmbench.regressions import LEVEL
from irmbench.timing import QUICK_CASES

Growth = dict[int, list[Measurement]]  # by environments, in the order of n


def save_scaling(record: Record) -> Path:
    """Save how the arms' seconds grow with n, beside the record; return the file."""
    grown = _growth(list(record.measurements.values()))
    caption = (
        f"Medians of seconds a call, forward and backward. {STEP.dtype}, {STEP.loss} loss, {STEP.estimator} "
        f"estimator; record {record.name}. Growth exponents between the two largest n: {_exponents(grown)}."
    )
    panels = (len(grown), len(grown))
    size = (2.6 * len(grown) + 1.9, 3.0)
    with style.context(["default", STYLE]):
        figure = make_figure(partial(scaling, grown), panels, size, "Time of the IRM penalty against n", caption)
        return _save(figure, record.path.with_suffix(".png"))


def scaling(grown: Growth, axes: Sequence[Axes]) -> None:
    """Draw the seconds of every arm against n, an axes per number of environments."""
    looks = _looks(list(ARMS))
    for ax, (environments, measurements) in zip(axes, grown.items(), strict=True):
        for arm, look in looks.items():
            seconds = [np.median(found.seconds[arm]) for found in measurements]
            ax.plot([found.case.n for found in measurements], seconds, **{**look, "linestyle": "-"})
        ax.set(xscale="log", yscale="log", xlabel="n, examples an environment")
        ax.set_title(f"{environments} environment{'s' if environments > 1 else ''}")
    axes[0].set_ylabel("seconds")
    draw_legend(axes[-1], {ARMS[arm]: look for arm, look in looks.items()})


def save_history(records: Sequence[Record]) -> Path:
    """Save the ratio to the reference over records, a facet per machine; return the file."""
    machines = len({record.fingerprint for record in records})
    caption = (
        "Double backward / fast, above 1 is faster. Points: median of paired ratios; bars: their "
        f"{LEVEL:.0%} hierarchical bootstrap interval over processes and pairs. {STEP.dtype}, {STEP.loss} loss, "
        f"{STEP.estimator} estimator. +: with uncommitted changes. Machines have panels of their own: only what was "
        "measured on one machine compares."
    )
    size = (min(12.0, 3.5 + 0.45 * len(records)) + 2.0, 3.2)
    title = "Speed of the IRM penalty over commits"
    with style.context(["default", STYLE]):
        figure = make_figure(partial(history, records), (machines, 1), size, title, caption)
        return _save(figure, ROOT / "history.png")


def history(records: Sequence[Record], axes: Sequence[Axes]) -> None:
    """Draw the ratio to the reference of the cases that grow, an axes per machine, a step per record in time."""
    looks = _looks([label(case) for case in QUICK_CASES])
    in_time = sorted(records, key=lambda record: str(record.content["datetime"]))
    machines = dict.fromkeys(record.fingerprint for record in records)
    for ax, machine in zip(axes, machines, strict=True):
        own = [(x, record) for x, record in enumerate(in_time) if record.fingerprint == machine]
        for shift, case in zip(np.linspace(-0.15, 0.15, len(QUICK_CASES)), QUICK_CASES, strict=True):
            _steps(ax, case_id(case), own, float(shift), looks[label(case)])
        names = [record.name[5:12] + ("+" if record.name.endswith("+") else "") for record in in_time]
        ax.set_xticks(range(len(in_time)), names, rotation=45, ha="right")
        ax.set(yscale="log", xlim=(-0.5, len(in_time) - 0.5), ylabel="double backward / fast")
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_locator(NullLocator())
        info = own[0][1].content["machine_info"]
        ax.set_title(f"{machine}: {info['machine']}, {info['device']}, PyTorch {info['torch']}")
    draw_legend(axes[0], looks)


def _steps(ax: Axes, case: str, records: Sequence[tuple[int, Record]], shift: float, look: Look) -> None:
    """Draw one case of one machine; the shift keeps the bars of equal ratios apart."""
    having = [(x + shift, record.measurements[case]) for x, record in records if case in record.infos]
    x = [at for at, _ in having]
    median, low, high = np.reshape([found.ratio("reference", "fast") for _, found in having], (-1, 3)).T
    ax.vlines(x, low, high, color=look["color"], linewidth=1)
    ax.plot(x, median, **{**look, "linestyle": "-"}, drawstyle="steps-mid", linewidth=1, markersize=5)


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


def _looks(labels: Sequence[str]) -> dict[str, Look]:
    return dict(zip(labels, LOOKS, strict=False))


def _save(figure: Figure, path: Path) -> Path:
    with writing(path, "the plot"):
        figure.savefig(path, dpi=150, bbox_inches="tight")
    return path
