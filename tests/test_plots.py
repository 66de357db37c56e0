"""Figures show what the data say, and touch nothing else."""

import io

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from irmbench import plots, tables

SEEDS = 5
TRICKY = ["_first", "a$b$c", "x_{1}^2", "<b>&"]


def trials(seeds=SEEDS, **changes):
    """Trials of one method on one dataset, a seed each: error k + 1 hundredths at seed k."""
    return [
        {
            "solver": "converged",
            "method_label": "irmv1",
            "solved_by": "Newton",
            "seconds": 0.01,
            "family": "risk-based",
            "dataset_label": "chain",
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


def draw_errors(rows, solver="converged"):
    both = axes(2)
    plots.errors(pd.DataFrame(rows), both, solver)
    return both


def draw_leaderboard(rows, classes=1):
    panels = axes(classes)
    plots.leaderboard(pd.DataFrame(rows), panels)
    return panels


def draw_trajectories(rows, count=1):
    panels = axes(count)
    plots.trajectories(pd.DataFrame(rows), panels)
    return panels


def svg_text(figure):
    """Return what a figure shows, its texts as text."""
    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(file, format="svg")
    return file.getvalue()


def test_a_trajectory_is_drawn_against_updates_which_are_one_more_than_the_step():
    (ax,) = draw_trajectories(recorded())
    assert ax.get_xscale() == "log"
    causal, other = (lines(ax, plots.LINES[kind]["color"]) for kind in (plots.CAUSAL, plots.OTHER))
    assert [line.get_xdata().tolist() for line in causal + other] == [[1, 10, 100]] * 2


def test_a_trajectory_is_the_mean_over_seeds_and_its_band_their_percentiles():
    (ax,) = draw_trajectories(recorded())
    (causal,) = lines(ax, plots.LINES[plots.CAUSAL]["color"])
    assert causal.get_ydata() == pytest.approx([3.0] * 3)
    heights = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert [heights.min(), heights.max()] == pytest.approx(np.quantile(np.arange(1, 6), [0.025, 0.975]))


def test_a_trajectory_of_one_seed_has_no_band():
    (ax,) = draw_trajectories(recorded(seeds=1))
    assert not ax.collections
    assert "n = 1" in ax.get_title()


def test_true_values_are_dashed_lines():
    (ax,) = draw_trajectories(recorded())
    assert [line.get_ydata()[0] for line in ax.lines if line.is_dashed()] == [0.0, 1.0]


def test_trials_on_a_sample_and_on_the_population_are_not_averaged():
    first, second = draw_trajectories(recorded() + recorded(seeds=1, solver="population"), 2)
    assert "n = 5" in first.get_title()
    assert "population, n = 1" in second.get_title()


def test_there_are_no_more_trajectories_than_axes():
    rows = [row for label in "abc" for row in recorded(method_label=label)]
    panels = draw_trajectories(rows, 2)
    assert [ax.get_title()[0] for ax in panels] == ["a", "b"]


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
    assert points(other)[:, 0] == pytest.approx([plots.FLOOR])
    for ax in (causal, other):
        assert any(line.get_linestyle() == ":" and line.get_xdata()[0] == plots.FLOOR for line in ax.lines)
    assert "≤" in other.xaxis.get_major_formatter()(plots.FLOOR)


def test_the_floor_is_not_marked_where_nothing_lies_on_it():
    causal, _ = draw_errors(trials())
    assert all(line.get_linestyle() != ":" for line in causal.lines)


def test_datasets_and_methods_keep_the_order_they_appear_in():
    names = [(dataset, method) for dataset in ("z", "a") for method in ("vrex", "erm")]
    rows = [row for dataset, method in names for row in trials(dataset_label=dataset, method_label=method)]
    causal, other = draw_errors(rows)
    assert row_labels(causal) == ["z", "a"]
    assert causal.yaxis_inverted()
    assert [text.get_text() for text in other.get_legend().get_texts()] == ["vrex", "erm"]
    above, below = points(causal)[:2, 1], points(causal)[2:, 1]
    assert (above < below).all()  # vrex above erm in both rows
    assert np.abs(np.concatenate([above, below]) - [0, 1, 0, 1]).max() < 0.5


def test_a_method_looks_the_same_for_every_solver():
    rows = trials(method_label="erm") + trials() + trials(solver="official")
    both, one = (draw_errors(rows, solver)[1].get_legend() for solver in ("converged", "official"))
    assert [text.get_text() for text in one.get_texts()] == ["irmv1"]
    first, second, again = both.legend_handles + one.legend_handles
    assert (again.get_marker(), again.get_color()) == (second.get_marker(), second.get_color())
    assert again.get_marker() != first.get_marker()


def test_methods_differ_in_their_looks():
    looks = {(look["color"], look["marker"]) for look in plots.LOOKS}
    assert len(looks) == len(plots.LOOKS) == 90


def test_trials_solved_in_two_ways_are_two_methods():
    _, other = draw_errors(trials() + trials(solved_by="sgd 10 steps"))
    assert [text.get_text() for text in other.get_legend().get_texts()] == ["irmv1, Newton", "irmv1, sgd 10 steps"]


def test_failed_trials_are_left_out():
    rows = trials() + failed(method_label="erm")
    assert len(points(draw_errors(rows)[0])) == 1
    assert len(draw_trajectories(recorded() + failed(method_label="erm"), 1)) == 1
    (board,) = draw_leaderboard(rows)
    assert len(points(board)) == 1
    assert [text.get_text() for text in board.texts] == ["failed"]


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
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["converged", "official"]


def test_the_leaderboard_has_a_panel_per_class():
    panels = draw_leaderboard(trials() + trials(assumption_class="A", dataset_label="other"), 2)
    assert [ax.get_title() for ax in panels] == ["A", "Y-noise varies"]


@pytest.mark.parametrize("errors", [[0.3, 0.8], [0.02, 0.05], [1.1, 7.0], [0.5, 0.5]])
def test_an_axis_has_two_decades_to_read_it_by(errors):
    rows = [row | {"error_causal": e, "error_noncausal": e} for row, e in zip(trials(2), errors, strict=True)]
    causal, _ = draw_errors(rows)
    low, high = causal.get_xlim()
    assert sum(low <= tick <= high for tick in causal.get_xticks()) >= 2


def test_a_timing_shows_every_arm_and_the_ratio():
    (ax,) = axes()
    plots.penalty_timing([timing(), timing(environments=10)], [ax])
    assert ax.get_xscale() == "log"
    assert sorted(points(ax).tolist()) == [[x, y] for x in (5e-5, 1e-4, 4e-4) for y in (0, 1)]
    assert row_labels(ax) == ["2 × 10,000", "10 × 10,000"]
    assert [text.get_text() for text in ax.texts] == ["4.00× [3.50, 4.50]"] * 2


def test_a_timing_names_what_else_tells_cases_apart():
    (ax,) = axes()
    plots.penalty_timing([timing(), timing(loss="logistic")], [ax])
    assert row_labels(ax) == ["2 × 10,000 squared", "2 × 10,000 logistic"]


def test_every_device_has_a_panel():
    panels = axes(2)
    plots.penalty_timing([timing(), timing(device="cuda")], panels)
    assert [ax.get_title() for ax in panels] == ["cpu, 2 threads", "cuda, 2 threads"]


@pytest.mark.parametrize("label", TRICKY)
def test_labels_are_drawn_literally(label):
    rows = recorded(method_label=label, dataset_label=label, assumption_class=label)
    shown = label.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for panels in (draw_errors(rows), draw_leaderboard(rows), draw_trajectories(rows)):
        assert shown in svg_text(panels[0].figure)
    assert svg_text(draw_errors(rows)[0].figure).count(f">{shown}<") == 3  # the row on both axes, and the legend


def captions(rows, timings=()):
    """Return the title and the caption of every figure that would be saved, by its name."""
    figures = plots._figures(pd.DataFrame(rows), pd.DataFrame(timings))
    return {name: (figure.get_suptitle(), figure.get_supxlabel()) for name, figure in figures}


def test_all_plots_are_saved_as_png_and_svg(tmp_path):
    rows = recorded() + trials(solver="official") + failed(method_label="erm")
    paths = plots.save_all(pd.DataFrame(rows), tmp_path, [timing()])
    names = ["leaderboard", "errors_converged", "errors_official", "trajectories", "penalty_timing"]
    assert paths == [tmp_path / "plots" / f"{name}.{suffix}" for name in names for suffix in ("png", "svg")]
    assert all(path.stat().st_size > 5_000 for path in paths)


def test_plots_are_the_same_whenever_and_under_whatever_settings_they_are_drawn(tmp_path):
    frame = pd.DataFrame(trials())
    paths = plots.save_all(frame, tmp_path / "first")
    with matplotlib.rc_context({"font.size": 30, "xtick.labelsize": 30, "savefig.dpi": 10, "svg.hashsalt": "mine"}):
        again = plots.save_all(frame, tmp_path / "second")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in paths]


def test_a_figure_says_that_it_leaves_trajectories_out():
    title, _ = captions(row for label in "abcdefg" for row in recorded(method_label=label))["trajectories"]
    assert title.endswith("(the first 6 of 7)")


def test_every_figure_has_a_title_and_a_caption_that_says_what_n_is():
    drawn = captions(recorded(), [timing()])
    assert len(drawn) == 4
    assert all(title and " n" in caption.replace("\N{NO-BREAK SPACE}", " ") for title, caption in drawn.values())
    assert "n = 20 pairs" in drawn["penalty_timing"][1].replace("\N{NO-BREAK SPACE}", " ")


def test_without_trajectories_none_are_drawn(tmp_path):
    paths = plots.save_all(pd.DataFrame(trials()), tmp_path)
    assert {path.stem for path in paths} == {"leaderboard", "errors_converged"}


def test_random_draws_of_hyper_parameters_are_not_drawn(tmp_path):
    assert plots.save_all(pd.DataFrame(trials(draw=3)), tmp_path) == []


@pytest.mark.parametrize("rows", [[], failed()])
def test_without_results_nothing_is_drawn(rows, tmp_path):
    assert plots.save_all(pd.DataFrame(rows), tmp_path) == []


def test_timings_are_drawn_without_trials(tmp_path):
    paths = plots.save_all(pd.DataFrame(), tmp_path, [timing()])
    assert [path.name for path in paths] == ["penalty_timing.png", "penalty_timing.svg"]


def test_drawing_leaves_matplotlib_as_it_was(tmp_path):
    before = matplotlib.rcParams.copy()
    plots.save_all(pd.DataFrame(), tmp_path, [timing()])
    assert matplotlib.rcParams.copy() == before  # the backend among them, which pyplot would choose
    assert not pyplot.get_fignums()
