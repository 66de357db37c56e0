"""The command line: ``python -m irmbench``.

Only what a command needs is imported, inside it: ``--help`` and ``list`` load neither torch nor pandas nor seaborn.
"""

from __future__ import annotations

import faulthandler
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from irmbench.errors import UserError, from_system, one_line, suggest, writing
from irmbench.perf import cli as perf_cli

if TYPE_CHECKING:
    import pandas as pd

    from irmbench.suite import Suite

FAILED, USAGE, INTERRUPTED = 1, 2, 130
KINDS = ("methods", "datasets", "suites")


SolverName = StrEnum("SolverName", ["official", "converged", "population"])
Device = StrEnum("Device", ["cpu", "cuda"])
Format = StrEnum("Format", ["terminal", "markdown", "latex", "csv", "json"])
AsFormat = Annotated[Format, typer.Option("--format", help="what to print; CSV and JSON hold unrounded numbers")]


class Commands(TyperGroup):
    """The commands; an unknown one gets a suggestion."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the arguments name."""
        known = self.list_commands(ctx)
        if args and args[0] not in known:
            raise UserError(f"unknown command {args[0]!r}.{suggest(args[0], known)} Commands: {', '.join(known)}")
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=Commands, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.add_typer(perf_cli.app, name="perf", cls=Commands)


@app.callback(invoke_without_command=True)
def start(context: typer.Context) -> None:
    """Tell which invariance method recovers the causal coefficients. With no command: run the suite `quick`."""
    if context.invoked_subcommand is None:
        _run("quick")


@app.command()
def run(
    suite: Annotated[str, typer.Argument(help="a suite's name, or a TOML file")],
    out: Annotated[Path | None, typer.Option(help="folder of the run; default: results/<suite>")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="data seeds, in place of the suite's")] = None,
    methods: Annotated[str, typer.Option(help="run only these, separated by commas; others than the suite's too")] = "",
    datasets: Annotated[str, typer.Option(help="run only these, separated by commas")] = "",
    solver: Annotated[SolverName | None, typer.Option(help="run only this solver")] = None,
    device: Annotated[Device, typer.Option(help="where batches run")] = Device.cpu,
    executor: Annotated[str, typer.Option(help="loky, dask (a local cluster) or dask:ADDRESS (a scheduler)")] = "loky",
    workers: Annotated[
        int | None, typer.Option(min=1, help="processes; default: one per core; not for dask:ADDRESS")
    ] = None,
    time_limit: Annotated[float | None, typer.Option(min=0.001, help="seconds that a trial may take")] = None,
    memory_limit: Annotated[int | None, typer.Option(min=1, help="MiB that a trial may take")] = None,
    change: Annotated[list[str] | None, typer.Option("--set", help="methods.irmv1.penalty_weight=1e4")] = None,
    record_every: Annotated[int | None, typer.Option(min=0, help="steps between recorded coefficients")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="delete the folder's earlier records first")] = False,
    allow_code: Annotated[list[str] | None, typer.Option(help="keep the results of this other version's code")] = None,
) -> None:
    """Run or resume a suite; print its leaderboard, write its records, tables and plots."""
    from irmbench.changes import Changes
    from irmbench.runs.limits import Limits

    changes = Changes(
        seeds=seeds,
        methods=_names("--methods", methods),
        datasets=_names("--datasets", datasets),
        solver=solver,
        record_every=record_every,
        values=tuple(change or ()),
    )
    how = {"device": device, "executor": executor, "workers": workers, "limits": Limits(time_limit, memory_limit)}
    _run(suite, out=out, changes=changes, fresh=fresh, allow_code=tuple(allow_code or ()), **how)


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(help="methods, datasets, suites, or the name of one")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="print a list of JSON objects, each with its id")] = False,
) -> None:
    """List what there is; for a name, its paper, family, assumptions and parameters."""
    from irmbench.views import listing

    if as_json or what not in ("", *KINDS):
        entries = listing.details(what)
        typer.echo(json.dumps(entries, indent=2) if as_json else listing.describe(entries))
        return
    for kind in KINDS if not what else (what,):
        typer.echo(listing.summaries(kind))


@app.command()
def show(folder: Annotated[Path, typer.Argument(help="the folder of a run")], form: AsFormat = Format.terminal) -> None:
    """Print the leaderboard of a run."""
    from irmbench.runs.loading import trials_of
    from irmbench.runs.plan import planned_suite, planned_trials

    found = trials_of(folder)
    _print_run(found.frame, planned_suite(folder), form)
    notes = found.problems
    if (planned := planned_trials(folder)) and (done := len(found.frame)) < planned:
        notes += [f"incomplete: {done:,} of {planned:,} trials; the command that started the run resumes it"]
    typer.echo("\n".join(notes), err=True, nl=bool(notes))


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="the folder of a run")],
    second: Annotated[Path, typer.Argument(metavar="B", help="the folder of the run that is compared with it")],
    form: AsFormat = Format.terminal,
) -> None:
    """Compare two runs on the trials they share: is B closer to the causal coefficients than A?"""
    from irmbench.views.comparison import folders_view
    from irmbench.views.terminal import show

    show(folders_view(first, second), form)


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="the folder of a run")]) -> None:
    """Make a run's tables, plots and report.html again from its records."""
    from irmbench.report.page import rebuild

    typer.echo(rebuild(folder))


@app.command()
def identify(
    methods: Annotated[str, typer.Argument(help="only these, separated by commas, and what each finds")] = "",
    out: Annotated[Path | None, typer.Option(help="folder of the table and the heat map [results/identify]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the matrix as JSON, and write nothing")] = False,
) -> None:
    """Compute which methods identify the causal coefficients under which assumptions, on population moments."""
    from rich.console import Console

    from irmbench.analysis import identify as matrix
    from irmbench.views import identify as views

    names = _names("METHODS", methods)
    if out is not None and (names or as_json):
        raise UserError("identify: --out is for the whole matrix as a table; leave out METHODS and --json, or --out")
    out = out or Path("results/identify")
    if not names and not as_json:
        with writing(out, "the matrix"):
            out.mkdir(parents=True, exist_ok=True)
    cells = matrix.identify(list(names) or None, progress=sys.stderr.isatty())
    if as_json:
        typer.echo(json.dumps(matrix.as_json(cells), indent=1))
        return
    Console().print(views.answers(cells) if names else views.matrix(cells))
    if not names:
        with writing(out, "the matrix"):
            saved = views.save(cells, out)
        typer.echo("\n".join(map(str, saved)))


@app.command()
def check(
    plugin: Annotated[str, typer.Argument(metavar="NAME|FILE", help="a method or dataset, or a file that holds one")],
) -> None:
    """Check one method or dataset against everything that is asked of it."""
    from rich.console import Console

    from irmbench.contract import checks
    from irmbench.views.terminal import findings_table

    kind, findings = checks.check(plugin)
    Console().print(findings_table(findings))
    broken = sum(finding.verdict == "broken" for finding in findings)
    typer.echo(f"{plugin}: {f'breaks {broken} of the rules' if broken else 'keeps to the contract'} of {kind}")
    raise typer.Exit(FAILED if broken else 0)


@app.command()
def rerun(
    folder: Annotated[Path, typer.Argument(help="the folder of a run")],
    trial_id: Annotated[str, typer.Argument(help="the id of a trial, as trials.csv has it")],
) -> None:
    """Run one trial again from its own record, and print it beside the record; nothing is stored."""
    from irmbench import runner

    stored, new = runner.rerun(folder, trial_id)
    for name, of in (("stored", stored), ("now", new)):
        values = {key: of[key] for key in ("status", "distance", "coefficients", "error") if of.get(key) is not None}
        typer.echo(f"{name:7} {json.dumps(values)}")
    raise typer.Exit(FAILED if new["status"] == "failed" else 0)


def _run(suite: str, **options: Any) -> None:
    from irmbench import runner
    from irmbench.suite import load_suite

    planned = load_suite(suite)
    summary = runner.run_suite(planned, runner.Options(**options))
    _print_run(summary.contents.frame, planned)
    typer.echo(str(summary))
    raise typer.Exit(FAILED if summary.is_wrong else 0)


def _print_run(frame: pd.DataFrame, suite: Suite | None, form: Format = Format.terminal) -> None:
    from irmbench.views.leaderboard import run_view
    from irmbench.views.terminal import show

    show(run_view(frame, suite), form)


def _names(option: str, text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if text and not names:
        raise UserError(f"{option}: expected names separated by commas, got {text!r}")
    return names


def main() -> None:
    """Run the command line; every error of usage or input is one line on stderr and exit code 2."""
    if sys.__stderr__ is not None:
        faulthandler.enable(sys.__stderr__)  # a plugin that crashes when it is imported is named
    try:
        code = app(standalone_mode=False) or 0
        sys.stdout.flush()
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        sys.exit(code)
    except UserError as error:
        _fail(str(error))
    except TyperException as error:
        _fail(error.format_message())
    except OSError as error:
        _fail(from_system(error))
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("interrupted; what is done is kept, and the same command (without --fresh) resumes it", err=True)
        sys.exit(INTERRUPTED)


def _fail(message: str) -> None:
    typer.echo(f"irmbench: {one_line(message)}", err=True)
    sys.exit(USAGE)
