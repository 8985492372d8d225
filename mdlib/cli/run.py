"""The commands ``mdlib run`` and ``mdlib list``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from mdlib.cli import terminal
from mdlib.cli.terminal import AsJson, DataRoot, errors_as_messages
from mdlib.figures import tables
from mdlib.notebook import chapters, execution
from mdlib.notebook.chapters import Chapter
from mdlib.notebook.execution import Run
from mdlib.notebook.parameters import Parameter

_FORMS = "NAME=VALUE or NAME VALUE"


class PairsCommand(TyperCommand):
    """Lets ``-p NAME VALUE`` be two words, as papermill has it, beside ``-p NAME=VALUE``.

    Typer has no option of two words that can be repeated, so they are joined before it looks.
    """

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        options = {name for option in self.get_params(ctx) for name in option.opts}
        words, joined = iter(args), []
        for word in words:
            joined.append(word)
            if word == "--":
                break
            if word in ("-p", "--param") and (name := next(words, None)) is not None:
                if "=" not in name:
                    value = next(words, None)
                    if value is None or value in options:
                        after = "nothing" if value is None else repr(value)
                        typer.echo(
                            f"mdlib: -p takes {_FORMS}, but after {name!r} comes {after}: if that "
                            f"is the value, write -p {name}={value or ''}",
                            err=True,
                        )
                        raise typer.Exit(2)
                    name = f"{name}={value}"
                joined.append(name)
        return super().parse_args(ctx, [*joined, *words])


def run(
    chapter: Annotated[str, typer.Argument(help="A chapter's name, or the path of its file.")],
    param: Annotated[
        list[str] | None,
        typer.Option("-p", "--param", metavar="NAME=VALUE", help="Set a parameter; repeatable."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="An empty folder; else runs/CHAPTER/NUMBER.")
    ] = None,
    data_root: DataRoot = None,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Run a chapter; leave its notebook, a page of it, and its metrics in one folder."""
    with errors_as_messages():
        found = chapters.find(chapter)
        values = found.parse(map(_pair, param or []))
        done = execution.run(found, values, out, progress=not quiet, data_root=data_root)
        if as_json:
            terminal.print_json(_run_facts(done))
        elif not quiet:
            _show_run(done)


def _pair(param: str) -> tuple[str, str]:
    if param.startswith("=") and "=" in param[1:]:  # of -p=NAME=VALUE
        param = param[1:]
    name, equals, value = param.partition("=")
    if not equals:
        raise ValueError(f"-p takes {_FORMS}; there is only {param!r}")
    return name, value


def _run_facts(done: Run) -> dict[str, Any]:
    return {
        "chapter": done.chapter.name,
        "out": str(done.out),
        "notebook": str(done.notebook),
        "page": str(done.page),
        "seconds": done.seconds,
        "parameters": done.parameters,
        "metrics": done.metrics,
    }


def _show_run(done: Run) -> None:
    console, rows = terminal.console(), done.metrics
    if rows and all("method" in row and "seed" in row for row in rows):
        rows = tables.mean_std(rows).reset_index().to_dict("records")
    terminal.print_rows(rows, done.chapter.title)
    console.print(f"{done.chapter.name} took {done.seconds:.0f} s. Look at")
    places = [("page", done.page), ("notebook", done.notebook)]
    if rows:
        places.append(("numbers", done.out / "metrics.json"))
    for what, path in places:
        console.print(f"  {what:9} {path}", soft_wrap=True)


def list_chapters(as_json: AsJson = False) -> None:
    """List the chapters: the question each answers, its parameters, how long it takes."""
    with errors_as_messages():
        found = [chapters.find(name) for name in chapters.names()]
        if as_json:
            terminal.print_json([_chapter_facts(chapter) for chapter in found])
            return
        console = terminal.console()
        for chapter in found:
            console.print(chapter.name, style="bold", end="")
            console.print(f"  {chapter.question or chapter.title}", style="italic")
            values = "  ".join(map(_parameter, chapter.parameters.values()))
            for what, text in (("time", chapter.time), ("parameters", values)):
                if text:
                    console.print(f"  {what}: {text}", style="dim")
        if not found:
            console.print(f"no chapters yet in {chapters.root() / 'notebooks'}")


def _chapter_facts(chapter: Chapter) -> dict[str, Any]:
    return {
        "name": chapter.name,
        "title": chapter.title,
        "question": chapter.question,
        "time": chapter.time,
        "parameters": [{**asdict(p), "type": p.type.__name__} for p in chapter.parameters.values()],
    }


def _parameter(parameter: Parameter) -> str:
    domain = f" [{parameter.domain}]" if parameter.domain else ""
    return f"{parameter.name}={parameter.default!r}{domain}"
