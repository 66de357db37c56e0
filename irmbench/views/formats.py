"""Tables that know no format, and the plain formats: Markdown, CSV, JSON. ``latex`` and ``terminal`` hold the others.

A `View` is what a command shows: tables of text for people and, of the same numbers, one unrounded frame for machines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import pandas as pd

Mark = Literal["", "best", "tied"]
Tone = Literal["", "good", "bad", "quiet"]
Row = tuple["Cell", ...]

LABEL = 14  # characters that a row's label takes at least; it breaks where it is longer


@dataclass(frozen=True)
class Cell:
    """One place of a table.

    Attributes:
        text: a label or an estimate.
        interval: stands beside or below it.
        remarks: what else there is to know, as failures.
        mark: what the legend of the view explains.
        tone: a terminal's colour; it only repeats what the text says.

    """

    text: str
    interval: str = ""
    remarks: tuple[str, ...] = ()
    mark: Mark = ""
    tone: Tone = ""


@dataclass(frozen=True)
class Table:
    """Rows of as many cells as there are columns, under headings; a single heading may be empty."""

    columns: tuple[str, ...]
    sections: Mapping[str, list[Row]]
    title: str = ""


@dataclass(frozen=True)
class View:
    """What is shown.

    Attributes:
        title: what the numbers are.
        note: their estimator, interval, n and selection protocol.
        tables: for people.
        data: the same unrounded, for machines.
        legend: what every mark means.
        facts: sentences on what is shown, for people.

    """

    title: str
    note: str
    tables: list[Table]
    data: pd.DataFrame
    legend: Mapping[Mark, str] = field(default_factory=dict)
    facts: tuple[str, ...] = ()


def decimals(value: float, sign: str = "") -> str:
    """Return a number to three decimals, or in three digits where it is large; ``sign`` as in a format."""
    return f"{value:{sign}z.3f}" if abs(value) < 1000 else f"{value:{sign}.3g}"


def interval(low: float, high: float, number: Callable[[float], str] = decimals) -> str:
    """Return an interval in words; none where it is undefined."""
    return "" if pd.isna(low) else f"[{number(low)}, {number(high)}]"


def one_line(text: str) -> str:
    """Return a text on one line, without what would steer a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def caption(view: View, names: Mapping[Mark, str], escape: Callable[[str], str]) -> str:
    """Return the note of a view and what its marks mean, which a format writes as ``names``."""
    legend = (f"{names[mark]}: {escape(meaning)}." for mark, meaning in view.legend.items())
    return " ".join([escape(view.note), *legend])


def panels(table: Table, room: int) -> list[Table]:
    """Return a table as parts of at most ``room`` characters a line where columns allow it, each with the labels."""
    parts: list[list[int]] = []
    used = room
    for column, width in enumerate(widths(table)[1:], 1):
        if not parts or used + 1 + width > room:
            parts.append([0])
            used = LABEL
        parts[-1].append(column)
        used += 1 + width
    return [_only(table, part) for part in parts]


def widths(table: Table, beside: bool = False) -> list[int]:
    """Return the characters that every column takes, its intervals below the estimates or beside them."""
    pieces = [name.split() for name in table.columns]
    for row in (row for rows in table.sections.values() for row in rows):
        for column, cell in enumerate(row):
            marked = cell.text + " *" * bool(cell.mark)
            pieces[column] += [f"{marked} {cell.interval}"] if beside else [marked, cell.interval]
            pieces[column] += cell.remarks
    return [max(map(len, of), default=0) for of in pieces]


def _only(table: Table, columns: list[int]) -> Table:
    sections = {
        heading: [tuple(row[column] for column in columns) for row in rows] for heading, rows in table.sections.items()
    }
    return Table(tuple(table.columns[column] for column in columns), sections, table.title)


def csv(view: View) -> str:
    """Return the numbers of a view as CSV."""
    return view.data.to_csv(index=False)


def json(view: View) -> str:
    """Return a JSON object with title, facts, note and rows; a number that is undefined or infinite is null."""
    note = caption(view, {"best": "best", "tied": "tied"}, str)
    content = {"title": view.title, "facts": view.facts, "note": note, "rows": view.data.to_dict("records")}
    return msgspec.json.format(msgspec.json.encode(content), indent=1).decode() + "\n"


def markdown(view: View) -> str:
    """Return a view as Markdown, its tables as GitHub's dialect has them."""
    note = caption(view, {"best": "**Bold**", "tied": "†"}, _markdown_text)
    parts = [f"# {_markdown_text(view.title)}", *map(_markdown_text, view.facts), note]
    for table in view.tables:
        parts += [f"## {_markdown_text(table.title)}"] if table.title else []
        parts.append("\n".join(_markdown_lines(table)))
    return "\n\n".join(parts) + "\n"


def _markdown_lines(table: Table) -> Iterator[str]:
    def line(cells: list[str]) -> str:
        return f"| {' | '.join(cells)} |"

    yield line([_markdown_text(name) for name in table.columns])
    yield line(["---", *["---:"] * (len(table.columns) - 1)])
    for heading, rows in table.sections.items():
        if heading:
            yield line([f"**{_markdown_text(heading)}**", *[""] * (len(table.columns) - 1)])
        for row in rows:
            yield line([_markdown_cell(cell) for cell in row])


def _markdown_cell(cell: Cell) -> str:
    text = _markdown_text(cell.text)
    marked = {"best": f"**{text}**", "tied": f"{text}†", "": text}[cell.mark]
    return ", ".join(
        filter(None, [f"{marked} {_markdown_text(cell.interval)}".strip(), *map(_markdown_text, cell.remarks)])
    )


def _markdown_text(text: str) -> str:
    """Return a text that CommonMark shows as it is; underscores within words and intervals need no escape."""
    return re.sub(r"[\\`*<&|~$]|(?<![^\W_])_|_(?![^\W_])|\](?=[(\[:])", r"\\\g<0>", one_line(text))
