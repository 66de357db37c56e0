"""Figures inside the report: titles and captions as text, drawings that share a page."""

import io
import re
from xml.etree import ElementTree as ET

import pytest
from matplotlib import style
from matplotlib.figure import Figure

from irmbench.report.figures import figures, inlined

TITLE = "Coefficients, <b> & $5"
CAPTION = "Means over hyper-\nparameters, low - high,\nand n = 3 seeds."


def svg(texts=(TITLE, CAPTION)):
    """Return a figure of matplotlib's with a title and a caption, in which paths are clipped and markers are reused."""
    with style.context("default"):
        figure = Figure(figsize=(4, 3))
        ax = figure.subplots()
        ax.plot([0, 1, 2], [0, 2, 1], marker="o")
        ax.set_title("A panel, drawn in letters of the caption")
        for text, y in zip(texts, (0.97, 0.01), strict=False):
            figure.text(0.01, y, text.replace("$", r"\$"), va="top" if y > 0.5 else "bottom")
        file = io.StringIO()
        figure.savefig(file, format="svg")
    return file.getvalue()


@pytest.fixture(scope="module")
def drawn():
    return svg()


def ids(text):
    return set(re.findall(r'\bid="([^"]+)"', text))


def targets(text):
    return set(re.findall(r'href="#([^"]+)"', text)) | set(re.findall(r"url\(#([^)]+)\)", text))


def test_title_and_caption_are_text(drawn):
    found = inlined("one", drawn)
    assert found.title == TITLE
    assert found.caption == "Means over hyper-parameters, low - high, and n = 3 seeds."


def test_title_and_caption_are_cut_off_the_drawing(drawn):
    left, top, width, height = map(float, ET.fromstring(inlined("one", drawn).svg).attrib["viewBox"].split())
    assert (left, width) == (0, 288)
    assert 10 < top < 30
    assert 216 - 70 < top + height < 216 - 30


def test_every_reference_has_its_target(drawn):
    found = inlined("one", drawn).svg
    assert targets(found) == ids(found) != set()


def test_two_figures_share_no_id(drawn):
    assert ids(inlined("one", drawn).svg).isdisjoint(ids(inlined("two", drawn).svg))


def test_a_drawing_has_neither_comments_nor_styles_that_reach_the_page(drawn):
    found = inlined("one", drawn).svg
    assert "<!--" not in found
    assert "<style" not in found
    assert "<metadata" not in found


def test_a_drawing_has_a_name_to_read_aloud(drawn):
    root = ET.fromstring(inlined("one", drawn).svg)
    assert (root.get("role"), root.get("aria-label")) == ("img", TITLE)


def test_a_figure_without_texts_goes_by_its_files_name():
    found = inlined("penalty_timing", svg(texts=()))
    assert (found.title, found.caption) == ("penalty_timing", "")
    assert ET.fromstring(found.svg).get("viewBox") == "0 0 288 216"


def test_the_leaderboard_comes_first(tmp_path, drawn):
    for name in ("errors", "leaderboard", "trajectories"):
        (tmp_path / f"{name}.svg").write_text(drawn, encoding="utf-8")
    assert [figure.name for figure in figures(tmp_path)] == ["leaderboard", "errors", "trajectories"]
