"""Selected scores, and their comparison with published ones, as views."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from irmbench.analysis.published import FAR
from irmbench.analysis.selection import AVERAGE, CAPTION, USABLE, select
from irmbench.analysis.tables import n_words
from irmbench.suite import Selection
from irmbench.views.formats import Cell, Table, View, interval

NAMES = {"test_risk": "test risk, mean over environments"}


def usable_view(frame: pd.DataFrame, selection: Selection) -> View:
    """Return what trials score by protocols that look at no truth and no test, of official solvers where these ran."""
    selected = select(frame, selection.each_seed)
    usable = selected["protocol"].isin(USABLE) & (selected["solver"] == "official")
    return selection_view(selected[usable] if usable.any() else selected, selection.scores)


def selection_view(selected: pd.DataFrame, scores: Sequence[str]) -> View:
    """Return what selected hyper-parameters score, a table for every solver, score and protocol."""
    note = f"{CAPTION} {n_words(selected['n'])}."
    shown = selected[selected["score"].isin(scores)]
    return View("Selected hyper-parameters", note, list(_tables(shown)), shown)


def _tables(selected: pd.DataFrame) -> Iterator[Table]:
    """Yield tables of a row a dataset and a column a method.

    A method that has nothing to select is in the tables of all protocols.
    """
    rows = selected[selected["environment"].isin(["", AVERAGE])]
    columns = rows["method"] + (", without E" + rows["left_out"]).where(rows["left_out"] != "", "")
    single = rows.groupby(["solver", "method", "left_out"])["protocol"].transform("nunique") == 1
    rows = rows.assign(column=columns, fixed=single)
    for (solver, score), of in rows.groupby(["solver", "score"], sort=False):
        for protocol in dict.fromkeys(of.loc[~of["fixed"], "protocol"]) or ["defaults"]:
            shown = of[of["fixed"] | (of["protocol"] == protocol)]
            cells = {(row["dataset_label"], row["column"]): _cell(row) for row in shown.to_dict("records")}
            methods, datasets = shown["column"].unique(), of["dataset_label"].unique()
            lines = [(Cell(name), *(cells.get((name, method), Cell("")) for method in methods)) for name in datasets]
            title = f"{NAMES.get(str(score), score)}; selected by: {protocol}; solver: {solver}"
            yield Table(("dataset", *methods), {"": lines}, title)


def _cell(row: dict[Any, Any]) -> Cell:
    return Cell(f"{row['mean']:.3g}", interval(row["low"], row["high"], "{:.3g}".format))


def comparison_with_published(compared: pd.DataFrame) -> View:
    """Return the comparison with published cells, a table for those that differ and one for each source."""
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
    far = compared[compared["far"]]
    tables = [_cells(far, f"Beyond {FAR:g}")] if len(far) else []
    tables += [_cells(rows, str(source)) for source, rows in compared.groupby("source", sort=False)]
    return View("Beside the published tables", found, tables, compared)


def _cells(compared: pd.DataFrame, title: str) -> Table:
    shown = beside(compared)
    return Table(tuple(shown.columns), {"": [tuple(map(Cell, row)) for row in shown.astype(str).to_numpy()]}, title)


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
