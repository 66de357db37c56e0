"""The commands `irmbench perf`: time the penalty and the training step, check, compare and list records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from irmbench.perf.penalty_times import Measurement
    from irmbench.perf.regressions import Verdict

CODES: dict[Verdict, int] = {"ok": 0, "improved": 0, "regressed": 1, "inconclusive": 3}
CHANGED, NOTHING_COMPARABLE = 1, 4
Device = Annotated[Literal["cpu", "cuda"], typer.Option(help="where the penalty runs")]
Update = Annotated[bool, typer.Option("--update", help="expect the operator counts that are found")]

app = typer.Typer(rich_markup_mode=None)


@app.callback()
def perf() -> None:
    """Time the IRM penalty, and say whether it got slower.

    Exit codes: 0 ok or improved; 1 regressed, or other operators than expected; 3 inconclusive; 4 nothing comparable.
    """


@app.command()
def run(device: Device = "cpu", update: Update = False) -> None:
    """Time every case, and on the CPU the training step; store a record, and plots of how times grow."""
    from irmbench.perf import penalty_times, plots, records, tables, training_times

    with _comparable():
        penalty_times.require(device)
        measured = penalty_times.measure(penalty_times.GRID, device)
        training = training_times.measure() if device == "cpu" else None
    record = records.save(measured, device, training=training)
    saved = plots.save_scaling(record)
    _print(tables.measured(measured))
    _print(tables.trained(training) if training else "CUDA: not measured, the training step is timed on the CPU")
    typer.echo(f"record: {record.path}\n{_plots(saved)}")
    raise typer.Exit(_operators(measured, device, update))


@app.command()
def check(
    base: Annotated[str, typer.Option(help="the revision to compare the working tree with, such as HEAD~1")],
    device: Device = "cpu",
    update: Update = False,
) -> None:
    """Time the working tree's penalty against another revision's, and store a record with the verdicts."""
    from irmbench.perf import penalty_times, records, tables
    from irmbench.perf.regressions import worst

    with _comparable():
        penalty_times.require(device)
        commit = penalty_times.revision(base)
        decisions = penalty_times.check(penalty_times.kernel_source(commit), penalty_times.GRID, device)
    record = records.save(decisions, device, commit)
    _print(tables.decided(decisions))
    verdict = worst(decision.verdict for decision in decisions)
    typer.echo(f"record: {record.path}\n{verdict} against {base} ({commit[:12]})")
    changed = _operators([decision.measurement for decision in decisions], device, update)
    raise typer.Exit(changed or CODES[verdict])


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="the earlier record: a file, or the start of its number or commit")],
    b: Annotated[str, typer.Argument(help="the later record")],
) -> None:
    """Compare two stored records of one machine, by their ratios to the reference."""
    from irmbench.perf import records, tables
    from irmbench.perf.regressions import worst

    base, head = records.find(a), records.find(b)
    with _comparable():
        comparisons = records.compare(base, head)
    _print(tables.compared(comparisons))
    verdict = worst(comparison.verdict for comparison in comparisons)
    typer.echo(f"{verdict}: {head.path} against {base.path}")
    raise typer.Exit(CODES[verdict])


@app.command()
def history() -> None:
    """List all records, and plot the ratio to the reference by commit."""
    from irmbench.perf import plots, records, tables

    with _comparable():
        found = records.load_all()
    _print(tables.history(found))
    typer.echo(_plots(plots.save_history(found)))


def _plots(saved: Sequence[Path]) -> str:
    return "\n".join(f"plot: {path}" for path in saved if path.suffix == ".png")


def _operators(measured: Sequence[Measurement], device: str, update: bool) -> int:
    """Print how the operators differ from what is expected, or expect them from now on; return the exit code."""
    from irmbench.perf import operator_counts
    from irmbench.perf.penalty_times import case_id

    counted = {case_id(found.case): found.operators for found in measured}
    if update:
        operator_counts.update(counted, device)
        return 0
    lines = operator_counts.differences(counted, device)
    for line in lines:
        typer.echo(line)
    if lines:
        typer.echo("if that is meant, --update expects it from now on")
    return CHANGED if lines else 0


@contextmanager
def _comparable() -> Iterator[None]:
    from irmbench.perf.penalty_times import NothingComparableError

    try:
        yield
    except NothingComparableError as error:
        typer.echo(f"irmbench: {error}", err=True)
        raise typer.Exit(NOTHING_COMPARABLE) from error


def _print(table: Any) -> None:
    from rich.console import Console

    Console().print(table)
