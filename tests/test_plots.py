"""A run has the figures that its results support, readable on paper, and drawing them touches nothing else."""

import io
import re
import zlib
from unittest import mock

import matplotlib
import pandas as pd
import pytest
from fontTools.ttLib import TTFont
from matplotlib import pyplot
from matplotlib.figure import Figure
from plot_support import axes, failed, misplaced, recorded, svg_text, timing, trials

from irmbench.analysis import tables
from irmbench.plots import figures as all_figures
from irmbench.plots.errors import errors
from irmbench.plots.figures import Results
from irmbench.plots.scores import DISTANCE, scores
from irmbench.plots.style import DOUBLE, FORMATS, LOOKS, SINGLE, UNUSED, styled
from irmbench.plots.trajectories import trajectories

TRICKY = ["_first", "a$b$c", "x_{1}^2", "<b>&"]
NOBREAK = "\N{NO-BREAK SPACE}"


def results(rows, timings=()):
    frame = pd.DataFrame(rows)
    given = tables.as_given(frame)
    board = tables.leaderboard(given) if len(given) else given
    return Results(frame, board, timings=pd.DataFrame(timings))


@pytest.fixture
def figures():
    """The figures of trials and timings, by name."""

    def make(rows, timings=()):
        with styled():
            return dict(all_figures.figures(results(rows, timings)))

    return make


@pytest.fixture(scope="module")
def full():
    """Results as a large run has them: labels long and many, classes many, methods that failed."""
    methods = ["erm", "irmv1 penalty_weight=100000 normalisation=appendix_d", "vrex", "oracle_parents"]
    classes = ["Y-noise constant", "Y-noise constant, confounded", "Y-noise varies", "classification, anti-causal"]
    rows = [
        row
        for i, method in enumerate(methods)
        for k, of_class in enumerate(classes)
        for by in ("adam 50,000 steps", "sgd 50,000 steps")
        for row in recorded(
            3,
            method_label=method,
            method=method.split()[0],
            family="oracle" if method.startswith("oracle") else "risk-based",
            assumption_class=of_class,
            dataset_label=f"irm_chain n=10000 variant_{k}",
            dataset="irm_chain",
            solver="official",
            solved_by=by,
            worst_test_risk=10.0**i,
        )
    ]
    more = failed(dataset_label="a_dataset_with_a_long_name scrambled=True", method_label="and_mask", solver="official")
    return results([*rows, *more], [timing(), timing(device="cuda", loss="logistic")])


def test_a_run_has_the_figures_it_supports(figures):
    rows = recorded(worst_test_risk=2.0) + trials(solver="official") + failed(method_label="erm")
    names = [
        "leaderboard",
        "profile_converged",
        "errors_converged",
        "errors_official",
        "test_risk",
        "trajectories",
        "penalty_timing",
    ]
    assert list(figures(rows, [timing()])) == names


def test_without_trajectories_and_test_risks_none_are_drawn(figures):
    assert list(figures(trials())) == ["leaderboard", "errors_converged"]


@pytest.mark.parametrize("rows", [[], failed()])
def test_without_results_nothing_is_drawn(rows, figures):
    assert figures(rows) == {}


def test_random_draws_of_hyper_parameters_are_not_drawn_as_if_given(figures):
    assert figures(trials(draw=3)) == {}


def test_timings_are_drawn_without_trials(figures):
    assert list(figures([], [timing()])) == ["penalty_timing"]


def test_figures_are_saved_in_every_format(tmp_path):
    paths = all_figures.save_all(results([], [timing()]), tmp_path)
    assert paths == [tmp_path / "plots" / f"penalty_timing.{suffix}" for suffix in ("png", "svg", "pdf")]
    assert list(FORMATS) == ["png", "svg", "pdf"]
    assert [path.read_bytes()[:4] for path in paths] == [b"\x89PNG", b"<?xm", b"%PDF"]


def test_a_figure_is_drawn_once_per_format(tmp_path):
    with mock.patch.object(Figure, "draw", autospec=True, side_effect=Figure.draw) as draw:
        saved = all_figures.save_all(results([], [timing()]), tmp_path)
    assert draw.call_count == len(saved)


def test_fonts_in_a_pdf_are_true_type_without_tables_that_it_has_no_use_for(tmp_path):
    content = all_figures.save_all(results([], [timing()]), tmp_path)[-1].read_bytes()
    streams = re.findall(rb"/Length1 .*?stream\n(.*?)\nendstream", content, re.DOTALL)
    tables = [set(TTFont(io.BytesIO(zlib.decompress(stream))).keys()) for stream in streams]
    assert tables
    assert all("glyf" in of and not of & UNUSED for of in tables)


def test_figures_of_an_earlier_run_are_deleted(tmp_path):
    old = tmp_path / "plots" / "errors_official.png"
    old.parent.mkdir()
    old.touch()
    saved = all_figures.save_all(results([], [timing()]), tmp_path)
    assert set(old.parent.iterdir()) == set(saved)


def test_figures_are_the_same_whenever_and_under_whatever_settings_they_are_drawn(tmp_path):
    paths = all_figures.save_all(results(trials()), tmp_path / "first")
    with matplotlib.rc_context({"font.size": 30, "xtick.labelsize": 30, "savefig.dpi": 10, "svg.hashsalt": "mine"}):
        again = all_figures.save_all(results(trials()), tmp_path / "second")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in paths]


def test_drawing_leaves_matplotlib_as_it_was(tmp_path):
    before = matplotlib.rcParams.copy()
    all_figures.save_all(results([], [timing()]), tmp_path)
    assert matplotlib.rcParams.copy() == before  # the backend among them, which pyplot would choose
    assert not pyplot.get_fignums()


def test_figures_are_readable_in_a_column_of_a_paper(full):
    with styled():
        for name, figure in all_figures.figures(full):
            assert figure.get_figwidth() in (SINGLE, DOUBLE), name
            assert misplaced(figure) == [], name


def test_every_figure_has_a_title_and_a_caption_that_says_what_it_shows(full):
    with styled():
        for name, figure in all_figures.figures(full):
            title, caption = (text.get_text().replace(NOBREAK, " ").replace("\n", " ") for text in figure.texts)
            assert title, name
            assert "n = " in caption or "n data seeds" in caption, name
            assert "percentile" in caption or "no interval" in caption, name
            assert "not selected" in caption or name == "penalty_timing", name


@pytest.mark.parametrize("label", TRICKY)
def test_labels_are_drawn_literally(label):
    frame = pd.DataFrame(recorded(method_label=label, dataset_label=label, assumption_class=label))
    shown = label.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    panels = {draw: axes(count) for draw, count in ((errors, 2), (scores, 1), (trajectories, 1))}
    for draw, of in panels.items():
        draw(frame, of) if draw is not scores else draw(tables.leaderboard(frame), of, DISTANCE)
        assert shown in svg_text(of[0].figure)
    assert svg_text(panels[errors][0].figure).count(f">{shown}<") == 3  # the row on both axes, and the legend


def test_a_label_that_moves_to_the_figures_legend_is_drawn_literally(figures):
    for label in TRICKY:
        figure = figures(trials(method_label=label))["errors_converged"]
        (text,) = figure.legends[0].get_texts()
        assert text.get_text() == label.replace("$", r"\$")


def test_methods_differ_in_their_looks():
    looks = {(look["color"], look["marker"]) for look in LOOKS}
    assert len(looks) == len(LOOKS) == 90
