"""The commands about sweeps: ``mdlib sweep``, ``collect``, ``plot`` and ``replay``."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mdlib.checks import need
from mdlib.cli import terminal
from mdlib.cli.claims import line
from mdlib.cli.terminal import DataRoot, errors_as_messages

if TYPE_CHECKING:
    import pandas as pd

    from mdlib.sweep import Spec

_Name = Annotated[str, typer.Argument(help="A sweep's name, or the path of its .yaml.")]
_Out = Annotated[Path | None, typer.Option(help="Folder of the runs; else runs/sweeps/NAME.")]


def sweep(
    name: _Name,
    out: _Out = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Runs at once; else one a GPU, or one a core.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Dask: local, slurm, dask.json or tcp://HOST:PORT.")
    ] = None,
    data_root: DataRoot = None,
    dry_run: Annotated[bool, typer.Option(help="Only say what would run, and how long.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Only say how the runs stand.")] = False,
) -> None:
    """Run a chapter over a grid of parameters; again: go on where it stopped."""
    from mdlib import sweep as sweeps

    with errors_as_messages():
        spec = sweeps.load(name, data_root, need_data=not status)
        if dry_run:
            _show_plan(spec, out, workers)
        elif status:
            _show_states(spec, out)
        else:
            try:
                done = sweeps.run(spec, out, workers, scheduler, data_root)
            except sweeps.Busy as error:
                typer.echo(f"mdlib: {error}: is this sweep running already?", err=True)
                raise typer.Exit(3) from None
            raise typer.Exit(1 if done.failures else 0)


def collect(
    name: _Name,
    out: _Out = None,
    stale: Annotated[bool, typer.Option(help="Allow rows of different sources.")] = False,
    claims: Annotated[
        bool, typer.Option("--claims", help="Only judge the rows of NAME.csv.")
    ] = False,
) -> None:
    """Write a sweep's results to NAME.csv; print mean ± std over the seeds.

    What they say of the sweep's claims goes to NAME.claims.csv, and is printed. Ends with code 4
    if runs are missing: the file has those that are done, and says so.
    """
    from mdlib import sweep as sweeps

    with errors_as_messages():
        spec = sweeps.load(name, need_data=False)
        if claims:
            need(not (out or stale), "--claims judges the rows of NAME.csv: no --out, no --stale")
            _show_claims(spec, sweeps.judge(spec))
            return
        frame, path = sweeps.collect(spec, out, stale)
        rows = sweeps.summary(frame, spec).reset_index().to_dict("records")
        runs = frame["number"].nunique()
        terminal.print_rows(rows, f"{spec.name}: {runs} of {len(spec.points)} runs")
        if spec.claims:
            _show_claims(spec, sweeps.claims(spec))
        terminal.console().print(f"{path}", soft_wrap=True)
        if runs < len(spec.points):
            left = len(spec.points) - runs
            which = f"{spec.called} --out {shlex.quote(str(out))}" if out else spec.called
            typer.echo(
                f"mdlib: {path.name} is not complete, {left} runs are missing: "
                f"mdlib sweep {which}, then mdlib collect {which}",
                err=True,
            )
            raise typer.Exit(4)


def plot(
    name: _Name,
    metric: Annotated[
        list[str] | None, typer.Option("-m", "--metric", help="Draw this column; repeatable.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="COLUMN=VALUE", help="Of these rows alone; repeatable."),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="The setting that others are compared with; else the first.")
    ] = None,
    to: Annotated[Path | None, typer.Option(help="A folder; else runs/plots/NAME.")] = None,
    format: Annotated[str, typer.Option(help="png, svg or pdf.")] = "png",
) -> None:
    """Draw a sweep's NAME.csv: dots, differences with intervals, curves along the grid."""
    import matplotlib

    from mdlib import sweep as sweeps
    from mdlib.io import atomic_write

    with errors_as_messages():
        need(format in ("png", "svg", "pdf"), f"--format {format}: expected png, svg or pdf")
        pairs = [text.partition("=") for text in only or []]
        for column, equals, _ in pairs:
            need(equals, f"--only takes COLUMN=VALUE; there is only {column!r}")
        spec = sweeps.load(name, need_data=False)
        matplotlib.use("Agg")
        wanted = {column: value for column, _, value in pairs}
        need(len(wanted) == len(pairs), "--only names a column twice: give one value of each")
        figures = sweeps.draw(spec, metric or (), wanted, against)
        folder = to or Path("runs", "plots", spec.name)
        for what, figure in figures.items():
            path = folder / f"{what.replace(' ', '-')}.{format}"
            with atomic_write(path) as temporary:
                figure.savefig(temporary, format=format, dpi=200)
            typer.echo(path)


def replay(
    name: _Name,
    runs: Annotated[int, typer.Option(min=1, help="How many runs to execute again.")] = 1,
    seed: Annotated[int, typer.Option(help="Draws them.")] = 0,
    cheap: Annotated[bool, typer.Option("--cheap", help="The quickest instead.")] = False,
    data_root: DataRoot = None,
) -> None:
    """Execute rows of NAME.csv again, and compare all their numbers.

    Ends with code 1 if one differs: at all on the same kind of machine, else beyond a tolerance.
    """
    from mdlib import sweep as sweeps

    with errors_as_messages():
        spec = sweeps.load(name, data_root)
        values = sweeps.replay(spec, runs, seed, cheap, data_root)
    points = {point.number: point.parameters for point in spec.points}
    rows = []
    for number in dict.fromkeys(value.number for value in values):
        of_run = [value for value in values if value.number == number]
        differ = [value for value in of_run if not value.agrees]
        largest = max((v.difference for v in of_run if v.difference is not None), default=0.0)
        limit = max(value.tolerance for value in of_run)
        rows.append(
            {"run": number}
            | {key: str(points[number][key]) for key in spec.varying}
            | {"values": len(of_run), "that differ": len(differ), "largest difference": largest}
            | {"expected": f"within {limit:g}" if limit else "the same, to the last bit"}
        )
    terminal.print_rows(rows, f"{spec.name}: {len(rows)} runs executed again")
    shown = [
        {"run": v.number, "row": v.row, "metric": v.metric, "row has": v.collected,
         "now": v.replayed}
        for v in values if not v.agrees
    ]  # fmt: skip
    terminal.print_rows(shown, "what differs")
    raise typer.Exit(1 if shown else 0)


def _show_claims(spec: Spec, said: pd.DataFrame) -> None:
    rows = [line(name, one) for name, one in said.iterrows()]
    terminal.print_rows(rows, f"{spec.name}: its claims")
    for name, why in said.loc[said["because"] != "", "because"].items():
        terminal.console().print(f"{name}: exploratory, for {why}", soft_wrap=True)


def _show_plan(spec: Spec, out: Path | None, workers: int | None) -> None:
    from mdlib import sweep as sweeps
    from mdlib.sweep import driver, engines, progress

    states = sweeps.states(spec, out)
    rows = []
    for point in spec.points:
        varied = {name: str(point.parameters[name]) for name in spec.varying}
        rows.append({"run": point.number, "state": states[point.number], **varied})
    left = sum(state != "done" for state in states.values())
    terminal.print_rows(rows, f"{spec.name}: {spec.chapter.name}, {len(rows)} runs")
    seconds, source = sweeps.estimate(spec, out)
    count = workers or engines.at_once(driver.uses_gpu(spec))
    if seconds is not None:
        total = -(-left // count) * seconds
        source = f"about {progress.duration(total)} with {count} at once ({source})"
    terminal.console().print(f"{len(rows)} runs, {left} to do: {source}", soft_wrap=True)


def _show_states(spec: Spec, out: Path | None) -> None:
    from mdlib import sweep as sweeps
    from mdlib.sweep import driver, plan

    states = sweeps.states(spec, out)
    counts = Counter(states.values())
    folders = driver.folders(spec, Path(out or driver.default_out(spec)).resolve())
    console = terminal.console()
    for number, state in states.items():
        if state == "failed":
            why = plan.read_status(folders[number]) or {}
            notebook = plan.executed(folders[number])
            console.print(f"run {number} failed: {why.get('cause')}: {why.get('message')}")
            console.print(f"  {notebook}", soft_wrap=True)
    order = ("done", "running", "failed", "stale", "waiting")
    words = ", ".join(f"{counts[state]} {state}" for state in order if counts[state])
    console.print(f"{spec.name}: {len(states)} runs: {words}")
    if counts["stale"]:
        console.print("stale: the chapter or mdlib has changed since; they will run again")
