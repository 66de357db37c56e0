"""Figures of overall scores show the tables they are drawn from."""

import numpy as np
import pandas as pd
import pytest
from plot_support import axes, failed, legend_labels, points, row_labels, trials

from irmbench import tables
from irmbench.plots_scores import leaderboard


def draw_leaderboard(rows, classes=1):
    panels = axes(classes)
    leaderboard(tables.leaderboard(pd.DataFrame(rows)), panels)
    return panels


def test_what_does_not_apply_is_said():
    (ax,) = draw_leaderboard(trials() + trials(method_label="and_mask", status="not_applicable", distance=np.nan))
    assert [text.get_text() for text in ax.texts] == ["not applicable"]


def test_the_leaderboard_shows_the_table():
    rows = trials() + trials(method_label="vrex", distance=0.9) + trials(solver="official", solved_by="adam 10 steps")
    (ax,) = draw_leaderboard(rows)
    table = tables.leaderboard(pd.DataFrame(rows))
    drawn = points(ax)
    assert drawn[np.argsort(drawn[:, 1]), 0] == pytest.approx(table["distance"].to_numpy())
    assert row_labels(ax) == ["irmv1", "vrex", "irmv1, adam 10 steps"]
    assert any(line.is_dashed() and line.get_xdata()[0] == 1 for line in ax.lines)
    assert legend_labels(ax) == ["converged", "official"]


def test_the_leaderboard_has_a_panel_per_class():
    panels = draw_leaderboard(trials() + trials(assumption_class="A", dataset_label="other"), 2)
    assert [ax.get_title() for ax in panels] == ["A", "Y-noise varies"]


def test_failed_trials_are_left_out():
    (ax,) = draw_leaderboard(trials() + failed(method_label="erm"))
    assert len(points(ax)) == 1
    assert [text.get_text() for text in ax.texts] == ["failed"]
