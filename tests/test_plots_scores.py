"""Figures of overall scores show the tables they are drawn from."""

import numpy as np
import pandas as pd
import pytest
from plot_support import axes, failed, legend_labels, points, row_labels, trials

from irmbench.analysis import tables
from irmbench.analysis.standings import ALL, standings
from irmbench.plots.scores import DISTANCE, IMPROVEMENT, SKILL, figures, scores
from irmbench.plots.style import styled


def draw_leaderboard(rows, classes=1):
    panels = axes(classes)
    scores(tables.leaderboard(pd.DataFrame(rows)), panels, DISTANCE)
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


def standing(**changes):
    row = {"solver": "converged", "solved_by": "Newton", "assumption_class": "A", "failed": 0, "applicable": 5, "n": 5}
    estimates = {"skill_iqm": 0.5, "skill_low": 0.4, "skill_high": 0.7}
    estimates |= {"improvement": 0.9, "improvement_low": 0.8, "improvement_high": 1.0}
    return row | estimates | {"method_label": "vrex", "family": "risk-based"} | changes


@pytest.mark.parametrize(
    ("score", "value", "ends", "reference"), [(SKILL, 0.5, [0.4, 0.7], 0), (IMPROVEMENT, 0.9, [0.8, 1.0], 0.5)]
)
def test_standings_are_drawn_with_their_intervals(score, value, ends, reference):
    (ax,) = axes()
    scores(pd.DataFrame([standing()]), [ax], score)
    assert points(ax).tolist() == [[value, 0]]
    assert ax.collections[0].get_segments()[0][:, 0].tolist() == ends
    assert any(line.is_dashed() and line.get_xdata()[0] == reference for line in ax.lines)


def test_all_classes_come_first_and_the_classes_beside_them():
    panels = axes(3)
    scores(pd.DataFrame([standing(assumption_class=name) for name in ("A", ALL, "B")]), panels, SKILL)
    assert [ax.get_title() for ax in panels] == [ALL, "A", "B"]


def test_a_skill_below_the_axis_is_marked_at_its_edge():
    (ax,) = axes()
    scores(pd.DataFrame([standing(skill_iqm=-40.0, skill_low=-50.0, skill_high=-30.0)]), [ax], SKILL)
    (edge,) = [line for line in ax.lines if line.get_marker() == "<" and len(line.get_xdata())]
    assert edge.get_xydata().tolist() == [[-1, 0]]
    assert len(points(ax)) == 1


def test_figures_of_standings_are_drawn_where_a_method_is_compared_with_erm():
    rows = trials(method="erm", method_label="erm") + trials(method_label="vrex", distance=0.01)
    with styled():
        both, alone = (
            dict(figures(tables.leaderboard(frame), standings(frame)))
            for frame in (pd.DataFrame(rows), pd.DataFrame(rows[:5]))
        )
    assert list(both) == ["leaderboard", "skill", "improvement"]
    assert list(alone) == ["leaderboard"]
    caption = both["skill"].texts[1].get_text().replace("\n", " ")
    assert "Interquartile mean" in caption
    assert "95% bootstrap interval" in caption
