"""Distances against what datasets and penalties are varied in, profiles of them, and landscapes."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from plot_support import axes, failed, legend_labels, points, trials

from irmbench.analysis.landscape import AT
from irmbench.plots.growth import figures as growth_figures
from irmbench.plots.landscape import landscape
from irmbench.plots.profiles import figures as profile_figures
from irmbench.plots.style import FLOOR, LOOKS, styled
from irmbench.plots.weights import figures as weight_figures
from irmbench.plots.weights import sensitivity, weights


def drawn(figures, rows, *more):
    with styled():
        return dict(figures(pd.DataFrame(rows), *more))


def grown(values=(2, 4, 8), name="environments", **changes):
    """Trials whose distances at seed k are (k + 1) / 10 of a number of environments."""
    return [
        row | {"distance": row["distance"] * value}
        for value in values
        for row in trials(dataset_params={name: value, "n": 10}, dataset_label=f"chain {name}={value}", **changes)
    ]


def test_distances_are_drawn_against_the_number_that_varies():
    (figure,) = drawn(growth_figures, grown() + grown(method_label="erm")).values()
    (ax,) = figure.axes
    assert points(ax)[:3] == pytest.approx(np.array([[2, 0.6], [4, 1.2], [8, 2.4]]))
    assert (ax.get_xlabel(), ax.get_title()) == ("E, environments", "chain")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["irmv1", "erm"]


def test_what_varies_by_itself_has_a_panel_for_each_value_of_the_rest():
    grid = [{"environments": e, "effects": q} for e in (3, 5) for q in (1, 2)]
    labels = ["t " + " ".join(f"{name}={value}" for name, value in params.items()) for params in grid]
    pairs = zip(grid, labels, strict=True)
    rows = [row for params, label in pairs for row in trials(dataset_params=params, dataset_label=label)]
    figures = drawn(growth_figures, rows)
    assert list(figures) == ["by_environments_converged", "by_effects_converged"]
    titles = [[ax.get_title() for ax in figure.axes] for figure in figures.values()]
    assert titles == [["t effects=1", "t effects=2"], ["t environments=3", "t environments=5"]]


def test_nothing_is_drawn_against_what_does_not_vary_or_is_no_number():
    rows = [row for flag in (True, False) for row in trials(dataset_params={"scrambled": flag, "d": 2})]
    assert drawn(growth_figures, rows) == {}


def weighted(values=(1.0, 10.0, 100.0), risks=(3.0, 1.0, 2.0), **changes):
    """Trials of three weights at distances 1, 0.1 and 0.01, and their risks on validation examples."""
    return [
        row
        | {"method_params": {"penalty_weight": value}, "solver_params": {}, "draw": h, "distance": 1 / 10**h}
        | {"name": "", "held_out": None, "validate": True, "validation_risk": [risks[h]], "test_risk": [1.0]}
        | changes
        for h, value in enumerate(values)
        for row in trials()
    ]


def test_the_distance_is_drawn_against_the_weight_and_the_selected_one_is_marked():
    (ax,) = axes()
    weights(sensitivity(pd.DataFrame(weighted()), each_seed=False), [ax])
    line, circle = ax.lines
    assert line.get_xydata() == pytest.approx(np.array([[1, 1], [10, 0.1], [100, 0.01]]))
    assert (line.get_linestyle(), ax.get_xscale()) == ("-", "log")
    assert circle.get_xydata().tolist() == [[10, 0.1]]
    assert legend_labels(ax) == ["chain", "selected"]


def test_weights_that_mix_are_drawn_as_what_is_left_of_the_risk():
    (ax,) = axes()
    weights(sensitivity(pd.DataFrame(weighted((0.9, 0.99, 1.0))), each_seed=False), [ax])
    assert ax.lines[0].get_xdata() == pytest.approx([0, 0.01, 0.1])
    assert ax.xaxis_inverted()
    assert ax.get_xlabel() == "1 - penalty weight"


def test_points_that_differ_in_more_than_the_weight_are_not_joined():
    rows = [row | {"solver_params": {"learning_rate": row["draw"]}} for row in weighted()]
    (ax,) = axes()
    weights(sensitivity(pd.DataFrame(rows), each_seed=False), [ax])
    assert ax.lines[0].get_linestyle() == "None"


def test_the_caption_says_by_which_protocol_the_weight_is_selected():
    for each_seed, words in ((False, "for all seeds"), (True, "most often")):
        caption = drawn(weight_figures, weighted(), each_seed)["penalty_weight"].texts[1].get_text().replace("\n", " ")
        assert f"selected by the protocol training validation, {words}" in caption


def test_one_weight_has_no_figure():
    assert drawn(weight_figures, weighted((1.0,)), False) == {}


def test_a_profile_is_the_part_of_the_runs_at_or_below_a_distance():
    rows = trials(4) + trials(4, method_label="erm")[1:] + failed(method_label="erm")[:1]
    (ax,) = drawn(profile_figures, rows)["profile_converged"].axes
    first, second = ax.lines[:2]
    assert first.get_xdata() == pytest.approx([0.1, 0.1, 0.2, 0.3, 0.4, 0.6])
    assert first.get_ydata() == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1])
    assert second.get_ydata() == pytest.approx([0, 0, 0.25, 0.5, 0.75, 0.75])  # one failed
    assert first.get_drawstyle() == "steps-post"


def test_all_classes_together_are_never_without_the_classes():
    cells = [{"assumption_class": c, "dataset_label": c, "method_label": m} for m in ("erm", "vrex") for c in "AB"]
    rows = [row for cell in cells for row in trials(**cell)]
    panels = drawn(profile_figures, rows)["profile_converged"].axes
    assert [ax.get_title() for ax in panels] == ["all classes", "A", "B"]


def test_a_method_alone_has_no_profile():
    assert drawn(profile_figures, trials()) == {}


def test_distances_of_zero_are_drawn_at_the_floor():
    rows = trials() + trials(method_label="oracle", distance=0.0)
    (ax,) = drawn(profile_figures, rows)["profile_converged"].axes
    assert ax.lines[1].get_xdata()[0] == FLOOR
    assert ax.lines[1].get_ydata()[1:].tolist() == [1.0] * (len(ax.lines[1].get_xdata()) - 1)


def test_a_landscape_marks_where_each_method_is_least():
    (ax,) = axes()
    curves = {"erm": (AT - 0.5) ** 2, "irmv1": AT**2}
    landscape([("chain", curves)], [ax])
    marked = [AT[line.get_markevery()[0]] for line in ax.lines[:2]]
    assert marked == pytest.approx([0.5, 0.0])
    assert [to_hex(line.get_color()) for line in ax.lines[:2]] == [to_hex(look["color"]) for look in LOOKS[:2]]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["causal", "anti-causal"]
