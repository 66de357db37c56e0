"""The figure of what methods minimise between the causal and the anti-causal solution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from irmbench.analysis.landscape import AT, landscapes
from irmbench.interface import Array
from irmbench.plots.style import DOUBLE, SINGLE, Look, draw_legend, joined, looks_of, make_figure, wrapped

Curves = dict[str, Array]  # by method
PANELS, COLUMNS = 6, 3  # in a figure, and side by side
CAPTION = (
    "Objective in the limit of the method's regularisation, relative to its largest value here; markers: its minimum "
    "on the line from the causal coefficients (0) to pooled least squares on the effects alone (1). Exact moments of "
    "the population, so there is no n and no interval; nothing is selected."
)


def figures(frame: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Yield the figure of the datasets and methods that a population was solved for, if there are some."""
    found = list(landscapes(frame))[:PANELS]
    if found:
        title = "Landscapes between the causal and the anti-causal solution"
        width = SINGLE if len(found) == 1 else DOUBLE
        draw = partial(landscape, found)
        yield "landscape", make_figure(draw, (len(found), COLUMNS), 2.2, title, CAPTION, width=width)


def landscape(found: Sequence[tuple[str, Curves]], axes: Sequence[Axes]) -> None:
    """Draw curves of ``landscapes``, an axes per dataset."""
    looks = looks_of(method for _, curves in found for method in curves)
    for ax, (dataset, curves) in zip(axes, found, strict=True):
        draw_line(curves, looks, ax)
        ax.set_title(wrapped(dataset, 28))
    axes[0].set_ylabel("relative objective")
    draw_legend(axes[min(COLUMNS, len(axes)) - 1], {method: joined(look) for method, look in looks.items()})


def draw_line(curves: Curves, looks: dict[str, Look], ax: Axes) -> None:
    """Draw methods' objectives on one dataset's line, with a marker where each is least."""
    for method, values in curves.items():
        look = joined(looks[method]) | {"markersize": 5}
        ax.plot(AT, values, markevery=[int(values.argmin())], clip_on=False, **look)
    for end in (0, 1):
        ax.axvline(end, color="0.6", linewidth=0.8, zorder=0.9)
    ax.set_xticks([0, 1], ["causal", "anti-causal"])
    ax.set(xlim=(AT[0], AT[-1]), xlabel="predictor")
