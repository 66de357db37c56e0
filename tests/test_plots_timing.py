"""The penalty's timings are drawn as measured."""

from plot_support import axes, points, row_labels, timing

from irmbench.plots.timing import penalty_timing


def test_a_timing_shows_every_arm_and_the_ratio():
    (ax,) = axes()
    penalty_timing([timing(), timing(environments=10)], [ax])
    assert ax.get_xscale() == "log"
    assert sorted(points(ax).tolist()) == [[x, y] for x in (5e-5, 1e-4, 4e-4) for y in (0, 1)]
    assert row_labels(ax) == ["2 × 10,000", "10 × 10,000"]
    assert [text.get_text() for text in ax.texts] == ["4.00× [3.50, 4.50]"] * 2


def test_a_timing_names_what_else_tells_cases_apart():
    (ax,) = axes()
    penalty_timing([timing(), timing(loss="logistic")], [ax])
    assert row_labels(ax) == ["2 × 10,000 squared", "2 × 10,000 logistic"]


def test_every_device_has_a_panel():
    panels = axes(2)
    penalty_timing([timing(), timing(device="cuda")], panels)
    assert [ax.get_title() for ax in panels] == ["cpu, 2 threads", "cuda, 2 threads"]
