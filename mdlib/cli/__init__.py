"""The command ``mdlib``: arguments in, tables out. What it does stands in the modules it calls."""

from __future__ import annotations

import typer

from mdlib.cli import claims, doctor, run, sweep

app = typer.Typer(
    help="Run the book's chapters and look after what they need.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command(cls=run.PairsCommand)(run.run)
app.command("list")(run.list_chapters)
app.command()(doctor.doctor)
app.command()(sweep.sweep)
app.command()(sweep.collect)
app.command()(sweep.plot)
app.command()(sweep.replay)
app.command()(claims.claims)


def main() -> None:
    app()
