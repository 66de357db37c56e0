"""What a person reads in a terminal: views, and a contract suite's verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rich import box
from rich.console import Console, Group
from rich.table import Table as Grid
from rich.text import Text

from irmbench import formats
from irmbench.contract import Finding, Verdict
from irmbench.formats import LABEL, Cell, Mark, Table, Tone, View, one_line, panels, widths
from irmbench.latex import latex

STYLES: dict[Verdict, str] = {"ok": "green", "broken": "bold red", "not checked": "dim"}
TONES: dict[Tone, str] = {"": "", "good": "green", "bad": "red", "quiet": "dim"}
SIGNS: dict[Mark, str] = {"best": "★", "tied": "†"}
WRITERS: dict[str, Callable[[View], str]] = {
    "markdown": formats.markdown,
    "latex": latex,
    "csv": formats.csv,
    "json": formats.json,
}


def show(view: View, form: str) -> None:
    """Print a view in one of ``WRITERS``' formats, or for any other as wide as the terminal is."""
    console = Console()
    if form in WRITERS:
        console.file.write(WRITERS[form](view))
    else:
        console.print(in_terminal(view, console.width))


def in_terminal(view: View, width: int) -> Group:
    """Return the tables of a view, each in as many parts as the width asks for, and what they show."""
    parts: list[Text | Grid] = [Text(view.title, "table.title")]
    for table in view.tables:
        parts += [Text(one_line(table.title), "table.title")] if table.title else []
        parts += _grids(table, width)
    return Group(*parts, Text(formats.caption(view, SIGNS, one_line), "table.caption"))


def _grids(table: Table, width: int) -> Iterator[Grid]:
    """Yield a table with intervals beside estimates where that fits, else below them, in as many parts as it takes."""
    _, *others = widths(table, beside=True)
    if 3 * LABEL + sum(others) + len(others) <= width:
        yield _grid(table, " ")
    else:
        yield from (_grid(part, "\n") for part in panels(table, width))


def _grid(table: Table, between: str) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for index, name in enumerate(table.columns):
        if index:
            grid.add_column(Text(one_line(name)), justify="right", vertical="top")
        else:
            grid.add_column(Text(one_line(name)), overflow="fold", min_width=LABEL)
    for heading, rows in table.sections.items():
        grid.add_section()
        if heading:
            grid.add_row(Text(one_line(heading), "bold"))
        for row in rows:
            grid.add_row(*(_text(cell, between) for cell in row))
    return grid


def _text(cell: Cell, between: str) -> Text:
    text = Text(one_line(cell.text), "bold green" if cell.mark == "best" else TONES[cell.tone])
    if cell.mark:
        text.append(f" {SIGNS[cell.mark]}")
    if cell.interval:
        text.append(between + cell.interval, "dim")
    for remark in cell.remarks:
        text.append("\n" + one_line(remark), "dim")
    return text


def findings_table(findings: list[Finding]) -> Grid:
    """Return the verdicts of a contract suite."""
    table = Grid(box=box.SIMPLE_HEAD, padding=(0, 1))
    for column in ("check", "verdict"):
        table.add_column(column, no_wrap=True)
    table.add_column("what was seen", overflow="fold")
    for finding in findings:
        table.add_row(finding.check, Text(finding.verdict, style=STYLES[finding.verdict]), Text(finding.detail))
    return table
