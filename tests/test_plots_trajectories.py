"""Trajectories are drawn as recorded."""

import numpy as np
import pandas as pd
import pytest
from plot_support import axes, failed, lines, recorded

from irmbench.plots.style import styled
from irmbench.plots.trajectories import CAUSAL, LINES, OTHER, figures, trajectories


def draw_trajectories(rows, count=1):
    panels = axes(count)
    trajectories(pd.DataFrame(rows), panels)
    return panels


def test_a_trajectory_is_drawn_against_updates_which_are_one_more_than_the_step():
    (ax,) = draw_trajectories(recorded())
    assert ax.get_xscale() == "log"
    causal, other = (lines(ax, LINES[kind]["color"]) for kind in (CAUSAL, OTHER))
    assert [line.get_xdata().tolist() for line in causal + other] == [[1, 10, 100]] * 2


def test_a_trajectory_is_the_mean_over_seeds_and_its_band_their_percentiles():
    (ax,) = draw_trajectories(recorded())
    (causal,) = lines(ax, LINES[CAUSAL]["color"])
    assert causal.get_ydata() == pytest.approx([3.0] * 3)
    heights = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert [heights.min(), heights.max()] == pytest.approx(np.quantile(np.arange(1, 6), [0.025, 0.975]))


def test_a_trajectory_of_one_seed_has_no_band():
    (ax,) = draw_trajectories(recorded(seeds=1))
    assert not ax.collections
    assert "n = 1" in ax.get_title()


def test_there_are_no_more_trajectories_than_axes():
    rows = [row for label in "abc" for row in recorded(method_label=label)]
    panels = draw_trajectories(rows, 2)
    assert [ax.get_title()[0] for ax in panels] == ["a", "b"]


def test_true_values_are_dashed_lines():
    (ax,) = draw_trajectories(recorded())
    assert [line.get_ydata()[0] for line in ax.lines if line.is_dashed()] == [0.0, 1.0]


def test_trials_on_a_sample_and_on_the_population_are_not_averaged():
    first, second = draw_trajectories(recorded() + recorded(seeds=1, solver="population"), 2)
    assert "n = 5" in first.get_title()
    assert "population, n = 1" in second.get_title()


def test_failed_trials_are_left_out():
    (ax,) = draw_trajectories(recorded() + failed(method_label="erm"))
    assert ax.get_title().startswith("irmv1 on chain")


def test_the_figure_says_that_it_leaves_trajectories_out():
    with styled():
        ((name, figure),) = figures(pd.DataFrame(row for label in "abcdefg" for row in recorded(method_label=label)))
    assert name == "trajectories"
    assert figure.texts[0].get_text().endswith("(the first 6 of 7)")
