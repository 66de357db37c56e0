"""One table in every format: what is read back is what was put in, whatever the labels are."""

import io
import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from irmbench.views import formats
from irmbench.views.formats import LABEL, Cell, Table, View, panels, widths
from irmbench.views.latex import LINE, escape, latex
from irmbench.views.terminal import WRITERS, in_terminal, show

AWKWARD = (
    r"""a_b _c_ *d* `e` %f &amp; $g$ #h {i} ~j~ ^k \l \| <b>m</b> |n| [o](p) ![q](r) "s" 't' -- --- ‘u’ é ø β Ж 中"""
)
SHOWN = AWKWARD + " end"  # of a label with a line break before its end
ROWS = [
    (
        Cell(AWKWARD + "\nend"),
        Cell("0.100", "[0.050, 0.150]", mark="best"),
        Cell("-1.5", "[-2.0, -1.0]", ("1 failed",)),
    ),
    (Cell("[1] plain"), Cell("0.200", mark="tied"), Cell("n/a", tone="quiet")),
    (Cell("*"), Cell("0.300"), Cell("")),
]
DATA = pd.DataFrame(
    {"label": [AWKWARD + "\nend", "[1] plain", "*"], "x": [0.1, 0.2, 0.1 + 0.2], "y": [-1.5, np.nan, np.inf], "n": 3}
)
VIEW = View(
    "A title: 100% & more_or_less",
    "Mean over n data seeds, ||b||, 95% bootstrap interval. n = 3.",
    [Table(("method", "x_1 | x", "y"), {"first_section": ROWS[:2], "second & last": ROWS[2:]}, "one_table #1")],
    DATA,
    {"best": "the least", "tied": "not worse than that"},
    ("A fact & more.",),
)


def rendered(text):
    """Return the tables of a Markdown text as an independent renderer has them: rows of cells of plain text."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    tables, marks = [], set()
    for k, token in enumerate(tokens):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type in ("td_open", "th_open"):
            children = tokens[k + 1].children
            tables[-1][-1].append("".join(child.content for child in children))
            marks |= {child.type for child in children} - {"text", "text_special"}
    return tables, marks


def test_markdown_renders_to_the_cells_that_were_put_in():
    (table,), marks = rendered(formats.markdown(VIEW))
    assert table == [
        ["method", "x_1 | x", "y"],
        ["first_section", "", ""],
        [SHOWN, "0.100 [0.050, 0.150]", "-1.5 [-2.0, -1.0], 1 failed"],
        ["[1] plain", "0.200†", "n/a"],
        ["second & last", "", ""],
        ["*", "0.300", ""],
    ]
    assert marks == {"strong_open", "strong_close"}


def test_markdown_makes_the_best_bold_and_says_what_that_means():
    text = formats.markdown(VIEW)
    assert "| **0.100** [0.050, 0.150] |" in text
    assert "**Bold**: the least. †: not worse than that." in text
    assert MarkdownIt().render(text).startswith("<h1>A title: 100% &amp; more_or_less</h1>")


@pytest.mark.parametrize("character", [chr(code) for code in range(33, 127)])
def test_every_printable_ascii_character_survives_markdown(character):
    labels = [character, f"a{character}b", f"{character}{character}x{character}", f"x {character} y", f"x{character}"]
    table = Table(("label", "x"), {"": [(Cell(label), Cell("1")) for label in labels]})
    (found,), marks = rendered(formats.markdown(View("t", "n", [table], DATA)))
    assert [row[0] for row in found[1:]] == labels
    assert marks == set()


def test_csv_holds_the_numbers_unrounded():
    found = pd.read_csv(io.StringIO(formats.csv(VIEW)))
    assert found["label"].tolist() == DATA["label"].tolist()
    assert found["x"].tolist() == DATA["x"].tolist()
    assert np.isnan(found["y"][1])


def test_json_holds_the_numbers_unrounded_and_what_they_are():
    found = json.loads(formats.json(VIEW), parse_constant=pytest.fail)  # NaN and Infinity are not JSON
    assert (found["title"], found["facts"]) == (VIEW.title, list(VIEW.facts))
    assert found["note"] == VIEW.note + " best: the least. tied: not worse than that."
    assert pd.DataFrame(found["rows"])["x"].tolist() == DATA["x"].tolist()
    assert [row["y"] for row in found["rows"]] == [-1.5, None, None]
    assert [row["label"] for row in found["rows"]] == DATA["label"].tolist()


def terminal(view, width):
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(in_terminal(view, width))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_terminal_shows_every_label_as_it_is_within_its_width(width):
    text = terminal(VIEW, width)
    assert max(map(len, text.splitlines())) <= width
    folded = "".join(line[: line.find("  0.1") if "0.1" in line else None] for line in text.splitlines())
    assert all(word in re.sub(r"\s", "", text) or word in folded for word in SHOWN.split() if len(word) < LABEL)


def test_a_terminal_without_colours_tells_best_and_tied_by_signs_that_it_explains():
    text = terminal(VIEW, 80)
    assert "\x1b" not in text
    assert "0.100 ★" in text
    assert "0.200 †" in text
    assert "★: the least. †: not worse than that." in " ".join(text.split())


def test_columns_that_do_not_fit_go_into_parts_that_repeat_the_labels():
    columns = ("label", *"abcdef")
    table = Table(columns, {"": [tuple(Cell("x" * 14) for _ in columns)]})
    parts = panels(table, 40)
    assert [name for part in parts for name in part.columns[1:]] == list("abcdef")
    assert {part.columns[0] for part in parts} == {"label"}
    assert all(LABEL + sum(1 + width for width in widths(part)[1:]) <= 40 for part in parts)


def test_a_column_wider_than_the_room_has_a_part_of_its_own():
    table = Table(("label", "a", "b"), {"": [(Cell("l"), Cell("x" * 50), Cell("y"))]})
    assert [part.columns for part in panels(table, 40)] == [("label", "a"), ("label", "b")]


def cells_of(text):
    """Return the rows of LaTeX's tabulars as lists of the cells' sources."""
    bodies = re.findall(r"\\begin\{tabular\}(.*?)\\end\{tabular\}", text, re.S)
    lines = [line for body in bodies for line in body.splitlines() if line.endswith(r" \\")]
    return [re.split(r"(?<!\\) & ", line.removesuffix(r" \\")) for line in lines]


def test_latex_is_whole_table_environments_of_booktabs_with_a_caption_that_says_what_the_numbers_are():
    text = latex(VIEW)
    for name in ("table", "tabular"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") == 1
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert rule in text
    (caption,) = re.findall(r"\\caption\{(.*)\}\n", text)
    assert caption.startswith(
        r"A title: 100\% \& more\_\allowbreak{}or\_\allowbreak{}less; one\_\allowbreak{}table \#1. "
    )
    assert r"95\% bootstrap interval. n =\allowbreak{} 3." in caption
    assert caption.endswith(r"\textbf{Bold}: the least. $^{\dagger}$: not worse than that.")
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_latex_has_the_cells_that_were_put_in():
    header, first, one, two, second, three = cells_of(latex(VIEW))
    assert header == ["method", r"x\_\allowbreak{}1 \textbar{} x", "y"]
    assert "first" in first[0]
    assert r"second \& last" in second[0]
    assert one[1:] == [
        r"\textbf{0.100} \mbox{\scriptsize [0.050, 0.150]}",
        r"$-$1.5 \mbox{\scriptsize [$-$2.0, $-$1.0]} \mbox{\scriptsize 1 failed}",
    ]
    assert two == ["{}[1] plain", r"0.200$^{\dagger}$", "n/a"]
    assert three == ["{}*", "0.300", ""]


def test_no_special_character_is_left_bare_in_latex():
    bare = re.sub(r"\\(?:[&%$#_{}]|[a-zA-Z]+(?:\{\})?|\\)", "", escape(r"& % $ # _ { } ~ ^ \ < > |"))
    assert not set(bare) & set(r"&%$#_{}~^\<>|")


def test_a_long_table_is_on_several_pages_of_latex():
    rows = [(Cell(f"m{k}"), Cell("0.1", "[0.0, 0.2]")) for k in range(100)]
    text = latex(View("t", "n", [Table(("method", "x"), {"one": rows[:60], "two": rows[60:]})], DATA))
    assert text.count(r"\begin{table}") > 3
    assert "(part 2 of " in text
    assert [row[0] for row in cells_of(text) if row[0].startswith("m") and row[0] != "method"] == [
        c.text for c, _ in rows
    ]


def wide():
    columns = ("method", *(f"class {k} of assumptions" for k in range(9)))
    row = (
        Cell("irmv1 penalty_weight=100000 normalisation=appendix_d"),
        *[Cell("0.100", "[0.050, 0.150]", mark="tied")] * 9,
    )
    return View("t", "n", [Table(columns, {"": [row] * 3})], DATA)


def unusual():
    """Every character that a label may have from the first two planes' alphabets and signs."""
    rows = [
        (Cell("".join(chr(code) for code in range(start, start + 16))), Cell("1"))
        for start in [*range(0x20, 0x7F, 16), *range(0xA0, 0x400, 16), 0x2010, 0x2020, 0x2190, 0x2260, 0x4E00]
    ]
    return View("t", "n", [Table(("label", "x"), {"": rows})], DATA)


@pytest.fixture
def compiled(tmp_path):
    """Return a function from views to what pdfLaTeX says of them; an error fails the test."""
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex here to compile tables with")

    def run(*views):
        body = "\n".join(map(latex, views))
        start = "\\documentclass{article}\n\\usepackage{array,booktabs}\n\\begin{document}\n"
        (tmp_path / "tables.tex").write_text(f"{start}{body}\\end{{document}}\n", encoding="utf-8")
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0, done.stdout[-2000:]
        assert (tmp_path / "tables.pdf").stat().st_size > 1000
        return done.stdout

    return run


def test_latex_compiles_whatever_the_labels_are(compiled):
    assert "Output written on tables.pdf" in compiled(VIEW, unusual())


def test_wide_and_long_tables_fit_the_pages_of_latex(compiled):
    long = Table(("method", "x"), {"": [(Cell("irmv1 (adam 2,000 steps)"), Cell("0.1", "[0.0, 0.2]"))] * 60})
    said = compiled(wide(), View("A title", VIEW.note * 5, [long], DATA))
    assert max(map(float, re.findall(r"Overfull \\hbox \(([\d.]+)pt", said)), default=0) < 2
    assert "Float too large" not in said


def test_a_wide_table_is_in_parts_that_fit_the_lines_of_latex():
    assert latex(wide()).count(r"\begin{table}") > 1
    shares = [sum(map(float, re.findall(r"p\{([\d.]+)\\linewidth", line))) for line in latex(wide()).splitlines()]
    assert 0 < max(shares) <= 1
    assert LINE == 80


@pytest.mark.parametrize("form", WRITERS)
def test_a_format_is_printed_and_nothing_else(form, capsys):
    show(VIEW, form)
    assert capsys.readouterr().out == WRITERS[form](VIEW)
