"""What the commands share: how they print, and how they fail."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script to read.")]
DataRoot = Annotated[Path | None, typer.Option(help="Where the data sets lie (else MDLIB_DATA).")]


@contextmanager
def errors_as_messages() -> Generator[None]:
    """Turn what a user can mend into one message and an exit code, without a traceback.

    The code is 2, but where the error has a `code` of its own: a chapter or a sweep that stopped.
    """
    try:
        yield
    except (ValueError, OSError, RuntimeError) as error:
        code = getattr(error, "code", None) if isinstance(error, RuntimeError) else 2
        if code is None:
            raise
        typer.echo(f"mdlib: {error}", err=True)
        raise typer.Exit(code) from None


def console() -> Console:
    from rich.console import Console

    # a pipe has no width of its own, and 80 columns would cut tables short
    return Console(width=None if sys.stdout.isatty() else 140, highlight=False, markup=False)


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


def print_rows(rows: Sequence[dict[str, Any]], title: str) -> None:
    """Print rows as one table; nothing if there are none."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    table = Table(title=Text(title), box=box.SIMPLE_HEAD, title_justify="left")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    for name in columns:
        numeric = all(isinstance(row.get(name, 0), (int, float)) for row in rows)
        table.add_column(Text(name), justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(Text(_short(row.get(name))) for name in columns))
    console().print(table)


def _short(value: Any) -> str:
    """A number to four significant digits; other values as they are."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
