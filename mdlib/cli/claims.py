"""The command ``mdlib claims``."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdlib.checks import need
from mdlib.cli import terminal
from mdlib.cli.terminal import DataRoot, errors_as_messages

if TYPE_CHECKING:
    import pandas as pd


def claims(
    name: Annotated[
        str | None, typer.Argument(help="A claim of the ledger or of a sweep; none: list them.")
    ] = None,
    run: Annotated[bool, typer.Option("--run", help="Run what is behind it again.")] = False,
    seeds: Annotated[
        str | None, typer.Option(help="With --run: other seeds, such as 20-24 or 20,22.")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="With --run: only say what it costs.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the runs; else runs/claims/ID.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Runs at once.")] = None,
    data_root: DataRoot = None,
) -> None:
    """What the works behind the book claim, and what of it holds here.

    With --run, the new verdict is set beside the one that was committed, which stays as it is.
    """
    with errors_as_messages():
        need(name or not run, "--run: say which claim; `mdlib claims` lists them")
        need(run or not (seeds or dry_run), "--seeds and --dry-run go with --run")
        if name is None:
            _list()
            return
        said = _behind(name)
        if run:
            need(len(said), f"--run: no claim of a sweep is behind {name}")
            several = f"{name} has {len(said)} claims behind it, run one of them: "
            need(len(said) == 1, several + ", ".join(said.index))
            _again(said, seeds, dry_run, out, workers, data_root)
        elif len(said):
            _show(said)


def _list() -> None:
    from mdlib.sweep import ledger

    columns = ["source", "says", "verdict", "a − b", "n"]
    found = ledger.table()
    terminal.print_rows(found[columns].reset_index().to_dict("records"), "what is claimed")


def _behind(name: str) -> pd.DataFrame:
    """The sweeps' claims behind a claim of the ledger, which is printed, or the one of that id."""
    from mdlib.sweep import ledger

    entries, said = ledger.read(), ledger.verdicts()
    if name in said.index:
        return said.loc[[name]]
    if name not in entries:
        near = get_close_matches(name, [*entries, *said.index], n=5)
        hint = f" did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise ValueError(f"unknown claim {name!r}:{hint} `mdlib claims` lists those of the ledger")
    entry = entries[name]
    found = ledger.followed(entry, said)
    kind, where = entry.pointer
    print_ = terminal.console().print
    print_(f"{entry.says} ({entry.source})", soft_wrap=True)
    print_(f"{found['verdict']}; {kind}: {where}", soft_wrap=True)
    if kind != "claim":
        return said.iloc[:0]
    return ledger.behind(entry, said)


def _show(said: pd.DataFrame) -> None:
    """Verdicts as a table; of a single claim its rows, too."""
    from mdlib import sweep as sweeps
    from mdlib.sweep.claims import seedwise

    terminal.print_rows([line(name, one) for name, one in said.iterrows()], "verdicts")
    if len(said) > 1:
        terminal.console().print("mdlib claims ID shows one of them with its rows", soft_wrap=True)
        return
    name, one = str(said.index[0]), said.iloc[0]
    terminal.console().print(f"{one['says']}: {one['sweep']}", soft_wrap=True)
    if one["because"]:
        terminal.console().print(f"exploratory, for {one['because']}", soft_wrap=True)
    spec = sweeps.load(one["sweep"], need_data=False)
    sweeps.claims(spec)  # are they still what the rows say?
    rows = seedwise(spec.claims[name], sweeps.read_csv(spec))
    terminal.print_rows(rows.to_dict("records"), "its rows, by seed")


def _again(
    said: pd.DataFrame,
    seeds: str | None,
    dry_run: bool,
    out: Path | None,
    workers: int | None,
    data_root: Path | None,
) -> None:
    from mdlib import sweep as sweeps
    from mdlib.sweep import driver, engines, progress
    from mdlib.sweep.claims import verdict_anew
    from mdlib.sweep.replay import of_claim
    from mdlib.sweep.table import of_runs

    name, one = str(said.index[0]), said.iloc[0]
    spec = sweeps.load(one["sweep"], data_root)
    kept = sweeps.claims(spec)  # before hours of work
    some, seconds = of_claim(spec, name, _seeds(seeds))
    out = out or driver.default_out(spec).parents[1] / "claims" / name
    at_once = min(len(some.points), workers or engines.at_once(driver.uses_gpu(some)))
    cost = progress.duration(seconds / at_once)
    terminal.console().print(
        f"{len(some.points)} runs of {spec.chapter.name}, about {cost} with {at_once} at once, by "
        f"the seconds of its rows",
        soft_wrap=True,
    )
    if dry_run:
        return
    done = sweeps.run(some, out, workers, data_root=data_root)
    if left := len(some.points) - done.counts["done"]:  # of what is there, one could pick
        message = f"no new verdict: {left} of {len(some.points)} runs are not done"
        terminal.console().print(message, soft_wrap=True)
        raise typer.Exit(1)
    now = verdict_anew(some, name, of_runs(some, out), kept)
    asked = sorted({point.parameters["seed"] for point in some.points})
    both = [("committed", one, ""), ("now", now, ", ".join(map(str, asked)))]
    rows = [{"rows": which, **line(name, found), "seeds": given} for which, found, given in both]
    terminal.print_rows(rows, one["says"])


def line(name: Any, one: pd.Series) -> dict[str, Any]:
    """A verdict as a row to print."""
    from mdlib.sweep.claims import effect

    return {
        "claim": name,
        "verdict": one["verdict"],
        "expected": one["expected"],
        "a − b": effect(one),
        "n": one["n"],
        "p (Holm)": one["p (Holm)"],
        "kind": one["kind"],
    }


def _seeds(text: str | None) -> list[int] | None:
    if text is None:
        return None
    parts = [re.fullmatch(r" *(\d+)(?:-(\d+))? *", part) for part in text.split(",")]
    found: list[int] = []
    for ends in filter(None, parts):
        first, last = int(ends[1]), int(ends[2] or ends[1])
        need(first <= last, f"--seeds {text}: {first}-{last} goes down, expected {last}-{first}")
        if (several := last - first + 1) > 1000:  # len of a range has an end
            raise ValueError(f"--seeds {text}: {several} seeds, expected 1000 at most")
        found += range(first, last + 1)
    if not found or not all(parts) or len(set(found)) < len(found):
        raise ValueError(f"--seeds {text}: expected seeds such as 20-24 or 20,22, each once")
    return found
