"""The command ``mdlib``: arguments in, tables out. What it does stands in the modules it calls."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterator
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand

from mdlib.cli import sweep, terminal
from mdlib.cli.terminal import DataRoot, errors_as_messages
from mdlib.figures import tables
from mdlib.notebook import chapters, execution, provenance
from mdlib.notebook.chapters import Chapter
from mdlib.notebook.execution import Run

if TYPE_CHECKING:
    from packaging.requirements import Requirement

app = typer.Typer(
    help="Run the book's chapters and look after what they need.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script to read.")]


class _PairsCommand(TyperCommand):
    """Lets ``-p NAME VALUE`` take two words, for which Typer has no type, by joining them."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        words, joined = iter(args), []
        for word in words:
            joined.append(word)
            if word in ("-p", "--param"):
                joined.append("=".join(islice(words, 2)))
        return super().parse_args(ctx, joined)


def _pairs(params: list[str] | None) -> list[tuple[str, str]]:
    pairs = [param.partition("=") for param in params or []]
    for name, equals, _ in pairs:
        if not equals:
            raise ValueError(f"-p takes two words, NAME VALUE; there is only {name!r}")
    return [(name, value) for name, _, value in pairs]


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


@app.command(cls=_PairsCommand)
def run(
    chapter: Annotated[str, typer.Argument(help="A chapter's name, or the path of its file.")],
    param: Annotated[
        list[str] | None,
        typer.Option("-p", "--param", metavar="NAME VALUE", help="Set a parameter; repeatable."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="An empty folder; else runs/CHAPTER.")] = None,
    data_root: DataRoot = None,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Run a chapter; leave its notebook, a page of it, and its metrics in one folder."""
    with errors_as_messages():
        found = chapters.find(chapter)
        values = chapters.parse_all(found, _pairs(param))
        folder = out or Path("runs", found.name)
        done = execution.run(found, values, folder, progress=not quiet, data_root=data_root)
        if as_json:
            _print_json(_run_facts(done))
        elif not quiet:
            _show_run(done)


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


@app.command("list")
def list_chapters(as_json: AsJson = False) -> None:
    """List the chapters: the question each answers, its parameters, how long it takes."""
    with errors_as_messages():
        found = [chapters.find(name) for name in chapters.names()]
        if as_json:
            _print_json([_chapter_facts(chapter) for chapter in found])
            return
        console = terminal.console()
        for chapter in found:
            console.print(chapter.name, style="bold", end="")
            console.print(f"  {chapter.question or chapter.title}", style="italic")
            values = "  ".join(f"{p.name}={p.default!r}" for p in chapter.parameters.values())
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
        "parameters": [
            {"name": p.name, "default": p.default, "type": p.type.__name__, "help": p.help}
            for p in chapter.parameters.values()
        ],
    }


class Check(NamedTuple):
    """One line of the doctor's report."""

    state: str  # OK, FAIL, or MISSING for what only some chapters need
    name: str
    detail: str


@app.command()
def doctor(data_root: DataRoot = None, as_json: AsJson = False) -> None:
    """Check Python, packages, device and data; exit code 1 if something is wrong."""
    with errors_as_messages():
        checks = [_check_python(), *_check_packages(), _check_device(), *_check_data(data_root)]
    failed = any(check.state == "FAIL" for check in checks)
    if as_json:
        _print_json({"ok": not failed, "checks": [check._asdict() for check in checks]})
    else:
        console, colours = (
            terminal.console(),
            {"OK": "green", "FAIL": "bold red", "MISSING": "yellow"},
        )
        for check in checks:
            console.print(f"{check.state:8}", style=colours[check.state], end="")
            console.print(f"{check.name:24} {check.detail}", soft_wrap=True)
    raise typer.Exit(1 if failed else 0)


def _check_python() -> Check:
    from packaging.specifiers import SpecifierSet

    needed, version = "", platform.python_version()
    try:
        needed = metadata.metadata("mdlib")["Requires-Python"] or ""
    except metadata.PackageNotFoundError:
        return Check("FAIL", "python", f"{version}, but mdlib is not installed in it: run make")
    good = SpecifierSet(needed).contains(version, prereleases=True)
    return Check("OK" if good else "FAIL", "python", version if good else f"{version}: {needed}")


def _check_packages() -> Iterator[Check]:
    from packaging.requirements import Requirement

    try:
        requirements = metadata.requires("mdlib") or []
    except metadata.PackageNotFoundError:
        return
    tested = _tested_versions()
    for requirement in map(Requirement, requirements):
        extra = re.search(r"extra == ['\"](\w+)['\"]", str(requirement.marker or ""))
        extra = extra[1] if extra else ""
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield _check_package(requirement, extra, tested.get(_canonical(requirement.name)))


def _check_package(requirement: Requirement, extra: str, tested: str | None) -> Check:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        needed = extra in ("", "notebooks")  # the rest is for tests, the book's site, benchmarks
        install = f"pip install -e '.[{extra}]'" if extra else "pip install -e ."
        state = "FAIL" if needed else "MISSING"
        return Check(state, requirement.name, f"not installed: {install}, or run make")
    if not requirement.specifier.contains(version, prereleases=True):
        wanted = f"{version}, expected {requirement.specifier}"
        return Check("FAIL", requirement.name, f"{wanted}: install it again")
    note = f" (tested with {tested})" if tested and tested != version.partition("+")[0] else ""
    return Check("OK", requirement.name, version + note)


def _canonical(name: str) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)


def _tested_versions() -> dict[str, str]:
    """Package → version in the checkout's constraints.txt, where it applies to this machine."""
    from packaging.requirements import Requirement

    path = Path(__file__).resolve().parents[2] / "constraints.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    pins = [
        Requirement(line) for line in lines if line.strip() and not line.lstrip().startswith("#")
    ]
    return {
        _canonical(pin.name): str(pin.specifier).removeprefix("==")
        for pin in pins
        if pin.marker is None or pin.marker.evaluate()
    }


def _check_device() -> Check:
    try:
        import torch
    except ImportError as error:
        return Check("FAIL", "device", f"torch cannot be imported: {error}")
    found = provenance.environment("auto")
    threads = f", {torch.get_num_threads()} threads" if found["device"] == "cpu" else ""
    return Check("OK", "device", f"{found['device']}: {found['device_name']}{threads}")


def _check_data(root: Path | None) -> Iterator[Check]:
    try:
        from mdlib import data
    except ImportError as error:
        yield Check("FAIL", "data", f"mdlib.data cannot be imported: {error}")
        return
    states = {"ok": "OK", "missing": "MISSING", "corrupt": "FAIL"}
    for name in data.names():
        status = data.status(name, root)
        yield Check(states[status.state], f"data {name}", status.hint)


app.command()(sweep.sweep)
app.command()(sweep.collect)


def main() -> None:
    app()
