"""Squared errors are drawn by dataset and method, and variants of a dataset apart from others."""

import numpy as np
import pandas as pd
import pytest
from plot_support import axes, failed, legend_labels, points, row_labels, trials

from irmbench.plots.errors import errors, figures
from irmbench.plots.style import FLOOR, styled


def draw_errors(rows):
    both = axes(2)
    errors(pd.DataFrame(rows), both)
    return both


def test_errors_are_medians_on_a_logarithmic_axis():
    causal, other = draw_errors(trials())
    assert causal.get_xscale() == other.get_xscale() == "log"
    assert points(causal) == pytest.approx(np.array([[0.03, 0.0]]))
    assert points(other) == pytest.approx(np.array([[0.06, 0.0]]))


def test_lines_of_errors_are_percentiles_over_seeds():
    causal, _ = draw_errors(trials())
    (interval,) = causal.collections[0].get_segments()
    assert interval[:, 0] == pytest.approx(np.quantile(np.arange(1, 6) / 100, [0.025, 0.975]))


def test_errors_below_the_floor_are_drawn_at_it_and_the_floor_is_marked():
    causal, other = draw_errors(trials(error_noncausal=0.0))
    assert points(other)[:, 0] == pytest.approx([FLOOR])
    for ax in (causal, other):
        assert any(line.get_linestyle() == ":" and line.get_xdata()[0] == FLOOR for line in ax.lines)
    assert "≤" in other.xaxis.get_major_formatter()(FLOOR)


def test_the_floor_is_not_marked_where_nothing_lies_on_it():
    causal, _ = draw_errors(trials())
    assert all(line.get_linestyle() != ":" for line in causal.lines)


def test_datasets_and_methods_keep_the_order_they_appear_in():
    names = [(dataset, method) for dataset in ("z", "a") for method in ("vrex", "erm")]
    rows = [row for dataset, method in names for row in trials(dataset_label=dataset, method_label=method)]
    causal, other = draw_errors(rows)
    assert row_labels(causal) == ["z", "a"]
    assert causal.yaxis_inverted()
    assert legend_labels(other) == ["vrex", "erm"]
    above, below = points(causal)[:2, 1], points(causal)[2:, 1]
    assert (above < below).all()  # vrex above erm in both rows
    assert np.abs(np.concatenate([above, below]) - [0, 1, 0, 1]).max() < 0.5


def test_trials_solved_in_two_ways_are_two_methods():
    _, other = draw_errors(trials() + trials(solved_by="sgd 10 steps"))
    assert legend_labels(other) == ["irmv1, Newton", "irmv1, sgd 10 steps"]


@pytest.mark.parametrize("errors", [[0.3, 0.8], [0.02, 0.05], [1.1, 7.0], [0.5, 0.5]])
def test_an_axis_has_two_decades_to_read_it_by(errors):
    rows = [row | {"error_causal": e, "error_noncausal": e} for row, e in zip(trials(2), errors, strict=True)]
    causal, _ = draw_errors(rows)
    low, high = causal.get_xlim()
    assert sum(low <= tick <= high for tick in causal.get_xticks()) >= 2


def families(rows):
    with styled():
        return dict(figures(pd.DataFrame(rows)))


def test_variants_of_a_dataset_have_a_figure_of_their_own():
    rows = [row for label in ("chain FOU", "chain FEU", "chain POU") for row in trials(dataset_label=label)]
    drawn = families(rows + trials(dataset="two_bit", dataset_label="two_bit"))
    assert list(drawn) == ["errors_chain_converged", "errors_converged"]
    assert row_labels(drawn["errors_chain_converged"].axes[0]) == ["FOU", "FEU", "POU"]
    assert row_labels(drawn["errors_converged"].axes[0]) == ["two_bit"]


def test_a_method_looks_the_same_for_every_solver():
    rows = trials(method_label="erm") + trials() + trials(solver="official")
    both, one = (figure.legends[0] for figure in families(rows).values())
    assert [text.get_text() for text in one.get_texts()] == ["irmv1"]
    first, second, again = both.legend_handles + one.legend_handles
    assert (again.get_marker(), again.get_color()) == (second.get_marker(), second.get_color())
    assert again.get_marker() != first.get_marker()


def test_failed_trials_are_left_out():
    assert len(points(draw_errors(trials() + failed(method_label="erm"))[0])) == 1
