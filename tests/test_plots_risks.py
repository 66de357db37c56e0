"""Test risks have lines at ERM and at the oracle, of runs with and without selected hyper-parameters."""

import pandas as pd
from plot_support import axes, legend_labels, points, row_labels, trials

from irmbench.plots.risks import figures as risk_figures
from irmbench.plots.risks import test_risks as draw_risks
from irmbench.plots.selection import figures as selection_figures
from irmbench.plots.style import styled

PROTOCOLS = ["training validation", "defaults", "oracle"]
METHODS = {"irmv1": ("irmv1", "risk-based", 3.0), "erm": ("erm", "baseline", 4.0), "parents": ("x", "oracle", 1.0)}


def rows(solver="official"):
    return [
        row
        for label, (method, family, risk) in METHODS.items()
        for row in trials(method_label=label, method=method, family=family, worst_test_risk=risk, solver=solver)
    ]


def vertical(ax):
    """Return where dashed and dotted lines are."""
    return [line.get_xdata()[0] for line in ax.lines if line.is_dashed()]


def test_risks_are_medians_with_lines_at_erm_and_the_oracle():
    (ax,) = axes()
    draw_risks(pd.DataFrame(rows()), [ax])
    assert points(ax).tolist() == [[3, 0], [4, 1], [1, 2]]
    assert vertical(ax) == [4, 1]
    assert row_labels(ax) == list(METHODS)
    assert legend_labels(ax) == ["at ERM", "at the oracle"]


def test_official_solvers_come_before_others():
    with styled():
        ((_, figure),) = risk_figures(pd.DataFrame(rows("converged") + rows()))
    assert figure.texts[0].get_text() == "Worst test risk, solver official"


def selected(method, mean, protocol="training validation", **changes):
    row = {"dataset_label": "chain", "method": method, "solver": "official", "left_out": "", "protocol": protocol}
    numbers = {"score": "test_risk", "environment": "", "mean": mean, "low": mean - 1, "high": mean + 1, "n": 5}
    return row | numbers | changes


def test_selected_scores_have_lines_where_erm_and_the_oracle_are_without_a_look_at_a_test():
    of_oracle = [selected("parents", 0.5, "oracle"), selected("parents", 1.0)]
    table = pd.DataFrame([selected("irmv1", 3.0), selected("erm", 4.5, "defaults"), selected("erm", 4.0), *of_oracle])
    named = pd.DataFrame(rows()).assign(name=lambda frame: frame["method_label"])
    with styled():
        ((name, figure),) = selection_figures(table, named)
    (ax,) = figure.axes
    assert name == "selection_test_risk"
    assert sorted(vertical(ax)) == [1.0, 4.0]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [*PROTOCOLS, "at ERM", "at the oracle"]
    assert "selected without a look at a test" in figure.texts[1].get_text().replace("\n", " ")
