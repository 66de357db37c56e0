"""The report: one valid and accessible page with everything in it, and nothing in it that a plugin could run."""

import base64
import itertools
import re
import shutil

import html5lib
import pandas as pd
import pytest
from report_support import CLASSES, EVIL, MARKUP, SUITE, make_run, only_svg, records, trial

from irmbench.analysis.verdicts import DEFINITION, verdicts
from irmbench.changes import Changes
from irmbench.errors import UserError
from irmbench.report import outputs
from irmbench.report.page import rebuild, write
from irmbench.runner import Options, run_suite
from irmbench.runs.loading import trials_of
from irmbench.suite import parse

HEADINGS = ("h1", "h2", "h3", "h4")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    make_run(folder, records(), planned_trials=60, seconds=12.3, made_by={"commit": "def", "machine": "a machine"})
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def document(page):
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)


def text_of(element):
    return " ".join(" ".join(element.itertext()).split())


def by_id(document, name):
    (found,) = [element for element in document.iter() if element.get("id") == name]
    return found


def test_the_page_is_valid_html(document):
    assert document.find("body") is not None


def test_ids_are_unique_and_every_reference_has_its_target(document):
    ids = [element.get("id") for element in document.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    links = [e.get("href", e.get("{http://www.w3.org/1999/xlink}href", "")) for e in document.iter()]
    targets = {link[1:] for link in links if link.startswith("#")}
    targets |= {name for e in document.iter() for name in e.get("aria-labelledby", "").split()}
    targets |= {
        found for e in document.iter() for value in e.attrib.values() for found in re.findall(r"url\(#(.+?)\)", value)
    }
    assert targets <= set(ids)


def test_nothing_is_loaded_from_anywhere(document):
    for element in document.iter():
        for name in ("src", "href", "action", "data", "poster", "srcset", "{http://www.w3.org/1999/xlink}href"):
            assert element.get(name, "#").startswith(("#", "data:")), element.attrib
    assert not [e for e in document.iter("link") if e.get("rel") != "icon"]
    assert not re.search(r"@import|url\((?!#)", "".join(text_of(style) for style in document.iter("style")))


def test_names_and_errors_of_plugins_are_text(document):
    assert len(list(document.iter("script"))) == 1
    assert not list(document.iter("img"))
    shown = text_of(document.find("body"))
    assert EVIL in shown
    assert shown.count("<img src=x onerror=") >= 5  # of the dataset, the error, the suite, the command, the versions


def test_only_the_pages_own_script_may_run(document):
    (policy,) = [e.get("content") for e in document.iter("meta") if e.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/]+=*'$", policy)


def test_headings_leave_out_no_level_and_there_is_one_first(document):
    levels = [HEADINGS.index(element.tag) for element in document.iter() if element.tag in HEADINGS]
    assert levels.count(0) == 1
    assert levels[0] == 0
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_the_page_has_a_language_and_landmarks(document):
    assert document.get("lang") == "en"
    assert [sum(1 for _ in document.iter(tag)) for tag in ("header", "nav", "main")] == [1, 1, 1]
    assert next(document.iter("a")).get("href") == "#main"


def test_every_table_has_a_caption_and_every_head_a_scope(document):
    tables = list(document.iter("table"))
    assert len(tables) >= 3
    for table in tables:
        assert len(text_of(table.find("caption"))) > 40
        assert {head.get("scope") for head in table.find("thead").iter("th")} == {"col"}
        assert {head.get("scope") for head in table.find("tbody").iter("th")} == {"row"}


def test_every_figure_has_a_name_a_caption_and_a_drawing(document):
    figures = list(document.iter("figure"))
    assert len(figures) >= 4
    for figure in figures:
        (drawing,) = [e for e in figure.iter() if e.tag.endswith("svg")]
        assert drawing.get("role") == "img"
        assert drawing.get("aria-label") == text_of(figure.find("h3"))
        assert len(text_of(figure.find("figcaption"))) > 40


def test_verdicts_come_first(document, folder):
    told = [text_of(line) for line in by_id(document, "verdicts").iter("li")]
    assert told == [" ".join(line.split()) for line in verdicts(pd.DataFrame(records()))]
    assert text_of(document.find("body/main/section/h2")) == "Verdicts"
    assert DEFINITION in text_of(by_id(document, "verdicts"))


def test_trials_are_counted_and_reasons_given(document):
    section = text_of(by_id(document, "trials"))
    assert "planned 60 done 55 ok 54 failed 1 not applicable 0" in section
    assert "The run is incomplete" in section
    assert "failed: broken: </title></style><img src=x" in section


def test_the_leaderboard_has_an_estimate_and_interval_for_each_class(document):
    table = by_id(document, "leaderboard")
    heads = [text_of(head) for head in table.find("thead").iter("th")]
    assert heads == ["method", "solver", "solved by", "seconds", *CLASSES]
    (row,) = [
        [text_of(cell) for cell in row]
        for row in table.find("tbody")
        if [text_of(cell) for cell in row][:2] == ["erm", "converged"]
    ]
    assert re.fullmatch(r"1\.100 \[1\.\d{3}, 1\.\d{3}\]", row[4])


def test_the_decomposition_adds_up(document):
    for row in by_id(document, "decomposition").find("tbody"):
        *parts, total = (float(cell.get("data-order")) for cell in list(row)[-4:])
        assert sum(parts) == pytest.approx(total)


def test_the_suite_is_the_one_that_was_run(document, folder):
    (toml,) = [text for code in document.iter("code") if "[[experiments]]" in (text := "".join(code.itertext()))]
    assert parse(toml).name == "by-hand"
    assert parse(toml).description == MARKUP


def test_it_tells_what_it_was_made_by(document):
    made = text_of(by_id(document, "made"))
    for said in ("run it </title>", "commit def; abc", "a machine", "seconds 12"):
        assert said in made


def test_the_data_are_in_the_page(document, folder):
    links = {e.get("download"): e.get("href") for e in document.iter("a") if e.get("download")}
    assert next(iter(links)) == "trials.csv"
    for name, link in links.items():
        head, _, content = link.partition(",")
        assert head == "data:text/csv;base64"
        assert base64.b64decode(content) == (folder / name).read_bytes()


def test_data_that_are_too_large_are_left_out_and_named(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("irmbench.report.page.LARGEST", 3000)
    copy = shutil.copytree(folder, tmp_path / "run")
    page = write(copy, trials_of(copy)).read_text(encoding="utf-8")
    assert 'download="trials.csv"' not in page
    assert 'download="leaderboard.csv"' in page
    assert "trials.csv is too large to be held here" in page


def test_a_run_without_any_result_has_a_report(tmp_path):
    nothing = [r for r in records() if r["status"] == "failed"]
    page = make_run(tmp_path, nothing).read_text(encoding="utf-8")
    assert "No method has coefficients to compare" in page
    assert 'id="figures"' not in page


def test_records_alone_make_a_report(tmp_path):
    make_run(tmp_path, [trial("erm", "official", CLASSES[0], seed, 0.5) for seed in range(2)])
    for name in ("run.json", "leaderboard.csv", "decomposition.csv", "trials.csv"):
        (tmp_path / name).unlink(missing_ok=True)
    page = write(tmp_path, trials_of(tmp_path)).read_text(encoding="utf-8")
    assert "ERM recovers the causal coefficients in 0 of 1 class with the official solver" in page


def test_the_command_makes_everything_again(folder, command_line):
    before = (folder / "report.html").read_text(encoding="utf-8")
    for file in [folder / "report.html", folder / "leaderboard.csv", *(folder / "plots").iterdir()]:
        file.unlink()
    with only_svg():
        code, said, _ = command_line("report", folder)
    assert (code, said.strip()) == (0, str(folder / "report.html"))
    assert (folder / "report.html").read_text(encoding="utf-8") == before


def test_a_run_ends_with_its_report(tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "write", lambda *arguments: None)
    suite = parse(SUITE.format(description="small"))
    run_suite(suite, Options(out=tmp_path / "run", workers=1, changes=Changes(methods=["erm"], seeds=1)))
    assert "</html>" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_a_folder_without_a_run_is_told(tmp_path, command_line):
    code, _, error = command_line("report", tmp_path)
    assert code == 2
    assert "holds no run" in error


def test_a_run_without_records_is_told(tmp_path):
    (tmp_path / "records").mkdir()
    with pytest.raises(UserError, match="the run has no records yet"):
        rebuild(tmp_path)


def test_names_that_read_as_missing_numbers_stay_names(tmp_path):
    page = make_run(tmp_path, [trial("nan", "official", "NA", 0, 0.5)]).read_text(encoding="utf-8")
    assert re.search(r'<th scope="row">nan</th>', page)
    assert re.search(r'<th scope="col"[^>]*>NA</th>', page)
