"""Selected scores and their comparison with published ones as people read them: Markdown, and tables in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from irmbench.published import FAR
from irmbench.selection import AVERAGE, CAPTION, select
from irmbench.suite import Selection
from irmbench.tables import n_words

NAMES = {"test_risk": "test risk, mean over environments"}
USABLE = ("training validation", "leave one out", "last environment", "defaults")


def tables(selected: pd.DataFrame, scores: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield a title and a table of text for every solver, score and protocol: a row a dataset, a column a method.

    A method that has nothing to select is in the tables of all protocols.
    """
    rows = selected[selected["environment"].isin(["", AVERAGE]) & selected["score"].isin(scores)]
    columns = rows["method"] + (", without E" + rows["left_out"]).where(rows["left_out"] != "", "")
    single = rows.groupby(["solver", "method", "left_out"])["protocol"].transform("nunique") == 1
    rows = rows.assign(column=columns, fixed=single, text=[*map(_cell, rows.to_dict("records"))])
    for (solver, score), of in rows.groupby(["solver", "score"], sort=False):
        for protocol in dict.fromkeys(of.loc[~of["fixed"], "protocol"]) or ["defaults"]:
            shown = of[of["fixed"] | (of["protocol"] == protocol)]
            table = shown.pivot(index="dataset_label", columns="column", values="text").fillna("")
            table = table.reindex(index=of["dataset_label"].unique(), columns=shown["column"].unique(), fill_value="")
            yield f"{NAMES.get(str(score), score)}; selected by: {protocol}; solver: {solver}", table


def _cell(row: dict[Any, Any]) -> str:
    return f"{row['mean']:.3g} [{row['low']:.3g}, {row['high']:.3g}]"


def terminal_tables(frame: pd.DataFrame, selection: Selection) -> Iterator[Table | str]:
    """Yield tables of trials for a terminal, then what they show.

    They are of official solvers, by the protocols that look at no truth and no test.
    """
    selected = select(frame, selection.each_seed)
    usable = selected["protocol"].isin(USABLE) & (selected["solver"] == "official")
    shown = selected[usable] if usable.any() else selected
    for title, cells in tables(shown, selection.scores):
        table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1))
        table.add_column("dataset", overflow="fold", min_width=12)
        for column in cells.columns:
            table.add_column(str(column), justify="right", overflow="fold")
        for dataset, row in cells.iterrows():
            table.add_row(str(dataset), *(Text(text.replace(" [", "\n[")) for text in row))
        yield table
    yield _caption(shown["n"])


def markdown(selected: pd.DataFrame, scores: Sequence[str]) -> str:
    """Return all tables as Markdown."""
    parts = [f"## {title}\n\n{_markdown_table(table.reset_index())}" for title, table in tables(selected, scores)]
    return "\n\n".join([f"# Selected hyper-parameters\n\n{_caption(selected['n'])}", *parts]) + "\n"


def comparison_markdown(compared: pd.DataFrame) -> str:
    """Return the comparison with published cells as Markdown: those that differ first, then all of them."""
    far = compared[compared["far"]]
    checked = ~compared["source"].str.contains("not checked")
    counts = [
        f"{(~of['far']).sum()} of {len(of)} {kind}"
        for kind, of in (
            ("published cells", compared[checked & (compared["environment"] != AVERAGE)]),
            ("averages of them over environments", compared[checked & (compared["environment"] == AVERAGE)]),
            ("cells quoted from memory", compared[~checked]),
        )
        if len(of)
    ]
    found = (
        f"Within {FAR:g} combined standard errors lie {', '.join(counts)}; means ± standard deviations over seeds. A "
        "distance is in these errors, to which rounding of the print adds. The standard deviation of an average is the "
        "mean of the environments', as published."
    )
    parts = [f"# Beside the published tables\n\n{found}"]
    if len(far):
        parts.append(f"## Beyond {FAR:g}\n\n{_markdown_table(beside(far))}")
    for source, rows in compared.groupby("source", sort=False):
        parts.append(f"## {source}\n\n{_markdown_table(beside(rows))}")
    return "\n\n".join(parts) + "\n"


def beside(compared: pd.DataFrame) -> pd.DataFrame:
    """Return a table of ``published.compare`` as text: means ± standard deviations, and their distance."""
    both = [("published", "published_sd"), ("mean", "sd")]
    texts = {name: compared[name].map("{:.4g}".format) + " ± " + compared[sd].map("{:.2g}".format) for name, sd in both}
    of = compared["environment"].where(compared["environment"] != "", compared["score"])
    return pd.DataFrame(
        {
            "dataset": compared["dataset_label"],
            "method": compared["method"],
            "of": of,
            "published": texts["published"],
            "here": texts["mean"],
            "distance": compared["distance"].map("{:+.1f}".format),
        }
    )


def _markdown_table(table: pd.DataFrame) -> str:
    rows = [[*map(str, table.columns)], ["---"] * table.shape[1], *table.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _caption(counts: pd.Series) -> str:
    return f"{CAPTION} {n_words(counts)}."
