"""What a person reads in a terminal: views, and a contract suite's verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from irmbench.contract.findings import Finding, Verdict
from irmbench.views import formats
from irmbench.views.formats import LABEL, Cell, Mark, Row, Table, Tone, View, one_line, panels, widths
from irmbench.views.latex import latex

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
    parts: list[RenderableType] = [Text(one_line(view.title), "bold"), ""]
    for table in view.tables:
        parts += [Text(one_line(table.title), "italic")] if table.title else []
        beside = 2 * LABEL + sum(2 + column for column in widths(table, beside=True)[1:]) <= width
        for part in [table] if beside else panels(table, width):
            parts += [*_grids(part, width, beside), ""]
    about = [*map(one_line, view.facts), formats.caption(view, SIGNS, one_line)]
    return Group(*parts, *(Text(paragraph) for paragraph in about))


def _grids(table: Table, width: int, beside: bool) -> Iterator[RenderableType]:
    """Yield the header of a table and its sections, all as wide, with intervals beside estimates or below them."""
    _, *others = (column + beside for column in widths(table, beside))  # where there is room, two blanks between
    longest = max(len(row[0].text) for rows in table.sections.values() for row in rows)
    label = min(max(longest, LABEL), width - sum(1 + column for column in others))
    columns = list(zip(table.columns, (label, *others), strict=True))
    yield _grid(columns, [], beside)
    for number, (heading, rows) in enumerate(table.sections.items()):
        yield from ([""] if number else []) + ([Text(one_line(heading), "bold")] if heading else [])
        yield _grid(columns, rows, beside)


def _grid(columns: list[tuple[str, int]], rows: list[Row], beside: bool) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, padding=0, show_edge=False, show_header=not rows)
    for index, (name, width) in enumerate(columns):
        grid.add_column(Text(one_line(name)), justify="right" if index else "left", overflow="fold", width=width)
    for row in rows:
        grid.add_row(*(_text(cell, beside) for cell in row))
    return grid


def _text(cell: Cell, beside: bool) -> Text:
    text = Text(one_line(cell.text), "bold green" if cell.mark == "best" else TONES[cell.tone])
    if cell.mark:
        text.append(f" {SIGNS[cell.mark]}")
    if cell.interval:
        text.append((" " if beside else "\n") + cell.interval, "dim")
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
