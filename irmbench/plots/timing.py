"""The figure of the penalty's timings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from irmbench.plots.style import SMALL, draw_legend, log_axis, looks_of, make_figure, n_words, name_rows

Timings = pd.DataFrame | list[dict[str, Any]]  # rows of timing.time_penalty
KIND = ["dtype", "loss", "estimator"]  # of a timed penalty
ARMS = {"fast": "fast", "reference": "double backward", "bound": "streaming bound"}
LOOKS = looks_of(ARMS.values())


def figures(timings: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Yield the figure of timings, if there are some."""
    if not len(timings):
        return
    devices = timings["device"].value_counts(sort=False)
    title = f"Time of the IRM penalty on {' and '.join(devices.index)}"
    kind = ", ".join("/".join(timings[column].unique()) for column in KIND)
    ratio = f"double backward / fast [{timings['confidence'].iloc[0]:.0%} percentile bootstrap interval]"
    caption = f"Environments × examples ({kind}). Medians of {n_words(timings['pairs'])} pairs; numbers: {ratio}."
    height = 0.32 * devices.max() + 0.5
    yield "penalty_timing", make_figure(partial(penalty_timing, timings), (len(devices), 1), height, title, caption)


def penalty_timing(rows: Timings, axes: Sequence[Axes]) -> None:
    """Draw the penalty's timings, an axes per device."""
    for ax, (_, table) in zip(axes, pd.DataFrame(rows).groupby("device", sort=False), strict=True):
        device_timing(table, ax)
    draw_legend(axes[0], LOOKS)


def device_timing(table: pd.DataFrame, ax: Axes) -> None:
    """Draw one device's seconds, a row per case, and the ratio of double backward to fast."""
    for arm, name in ARMS.items():
        ax.plot(table[f"seconds_{arm}"], range(len(table)), markersize=4, **LOOKS[name])
    for y, row in enumerate(table.to_dict("records")):
        ratio = f"{row['speedup']:.2f}× [{row['speedup_lo']:.2f}, {row['speedup_hi']:.2f}]"
        x = np.sqrt(row["seconds_fast"] * row["seconds_reference"])
        ax.text(x, y - 0.15, ratio, ha="center", va="bottom", fontsize=SMALL)
    cases = table[["environments", "n", *(c for c in KIND if table[c].nunique() > 1)]].itertuples(index=False)
    log_axis(ax)
    name_rows(ax, [" ".join([f"{e:,} × {n:,}", *others]) for e, n, *others in cases])
    threads = int(table["threads"].max())
    title = f"{table['device'].iloc[0]}, {threads} thread{'s' * (threads > 1)}"
    ax.set(title=title, xlabel="seconds, forward + backward", xmargin=0.12)
