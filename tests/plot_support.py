"""Trials to draw, and what is to be read of drawn axes."""

import io
from itertools import combinations
from unittest import mock

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

SEEDS = 5


def trials(seeds=SEEDS, **changes):
    """Trials of one method on one dataset, a seed each: error k + 1 hundredths at seed k."""
    return [
        {
            "solver": "converged",
            "method": "irmv1",
            "method_label": "irmv1",
            "solved_by": "Newton",
            "seconds": 0.01,
            "family": "risk-based",
            "dataset": "chain",
            "dataset_label": "chain",
            "dataset_params": {},
            "method_params": {},
            "assumption_class": "Y-noise varies",
            "draw": 0,
            "data_seed": seed,
            "status": "ok",
            "error_causal": (seed + 1) / 100,
            "error_noncausal": (seed + 1) / 50,
            "distance": (seed + 1) / 10,
            **changes,
        }
        for seed in range(seeds)
    ]


def recorded(seeds=SEEDS, steps=(0, 9, 99), **changes):
    """Trials with a trajectory: coefficients [1 + s, s] at every step of seed s."""
    rows = trials(seeds, truth=[1.0, 0.0], causal=[True, False], **changes)
    return [row | {"trajectory": [[k, [1.0 + s, 0.0 + s]] for k in steps]} for s, row in enumerate(rows)]


def failed(**changes):
    return trials(status="failed", error_causal=np.nan, error_noncausal=np.nan, distance=np.nan, **changes)


def timing(**changes):
    return {
        **{"device": "cpu", "environments": 2, "n": 10_000, "dtype": "float32", "loss": "squared", "threads": 2},
        **{"estimator": "split", "seconds_fast": 1e-4, "seconds_reference": 4e-4, "seconds_bound": 5e-5},
        **{"speedup": 4.0, "speedup_lo": 3.5, "speedup_hi": 4.5, "bound_ratio": 2.0, "confidence": 0.99, "pairs": 20},
        **changes,
    }


def axes(count=1):
    return list(Figure().subplots(1, count, squeeze=False).flat)


def lines(ax, colour):
    return [line for line in ax.lines if to_hex(line.get_color()) == to_hex(colour) and len(line.get_xdata()) > 1]


def points(ax):
    """Return what is drawn with a marker, [[x, y], ...]."""
    marked = [line.get_xydata() for line in ax.lines if line.get_marker() not in ("None", "none", "")]
    drawn = np.concatenate(marked)
    return drawn[~np.isnan(drawn[:, 0])]


def row_labels(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


def legend_labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def svg_text(figure):
    """Return what a figure shows, its texts as text."""
    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(file, format="svg")
    return file.getvalue()


def misplaced(figure):
    """Return the texts that cannot be read on paper: too small, beyond the figure's edges, or over one another."""
    canvas, drawn = FigureCanvasAgg(figure), {}
    draw = Text.draw

    def draw_and_note(text, renderer):
        if text.get_visible() and text.get_text().strip():
            drawn[text] = text.get_window_extent(renderer)
        draw(text, renderer)

    canvas.draw()  # lays out
    figure.set_layout_engine("none")
    with mock.patch.object(Text, "draw", draw_and_note):
        canvas.draw()
    page = figure.bbox.padded(0.5)
    small = [text.get_text() for text in drawn if text.get_fontsize() < 7]
    beyond = [
        text.get_text() for text, box in drawn.items() if not (page.contains(*box.min) and page.contains(*box.max))
    ]
    over = [
        (a.get_text(), b.get_text())
        for (a, one), (b, other) in combinations(drawn.items(), 2)
        if (shared := Bbox.intersection(one, other)) and min(shared.width, shared.height) > 1
    ]
    return small + beyond + over
