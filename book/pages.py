"""Pages whose content comes from files: results from sweeps' tables, status from notebooks."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd

from mdlib import sweep
from mdlib.notebook.chapters import Chapter, find, names
from mdlib.sweep import plan
from mdlib.sweep.rowfile import csv_path
from mdlib.sweep.table import metrics

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = 8  # metrics that a table shows; the file has all
ROWS = 20  # beyond which a table scrolls by itself

RESULTS = """# Results

What the sweeps found. When the site is built, every number here is read from
`notebooks/sweeps/NAME.csv`, which `mdlib collect NAME` writes from the runs. A row has the mean ±
standard deviation of its n runs, "± ?" where there is one. What the numbers mean, and what they do
not show, is for the chapters to say.
"""

STATUS = """# Status

When, where and with what the outputs were made that the chapters show, as the last cell of each
notebook says, and whether they belong to the present source:

- *fresh*: made by the chapter's code and the package as they are here;
- *older mdlib*: the chapter's code is the same, but something in the package has changed since;
- *other code*: the chapter's code has changed since, which a test refuses;
- *unknown*: written before notebooks kept this.
"""


def link(chapter: Chapter) -> str:
    """The chapter's title, as a link if the site shows the chapter."""
    toc = (ROOT / "book" / "_toc.yml").read_text(encoding="utf-8")
    page = chapter.path.relative_to(ROOT).with_suffix("").as_posix()
    there = re.search(rf"file: {page}$", toc, re.MULTILINE)
    return f"[{chapter.title}](../{page})" if there else f"{chapter.title} (in preparation)"


def results() -> str:
    """The page of results, as Markdown."""
    paths = sorted((ROOT / "notebooks" / "sweeps").glob("*.yaml"))
    specs = [sweep.load(path, need_data=False) for path in paths]
    done = [spec for spec in specs if csv_path(spec).is_file()]
    waiting = [
        f"- `{spec.name}`, {len(spec.points)} runs of {link(spec.chapter)}. {about(spec)}"
        for spec in specs
        if spec not in done
    ]
    if waiting:
        waiting = ["## Not yet run", "\n".join(waiting)]
    return "\n\n".join([RESULTS, *map(result, done), *waiting]) + "\n"


def result(spec: sweep.Spec) -> str:
    """One sweep: what it asks, who ran it, and its table."""
    frame = sweep.read_csv(spec)
    runs = frame.drop_duplicates("run")
    present = set(runs["run"].str.rpartition("-")[2]) == {plan.source_hash(spec.chapter)}
    file = csv_path(spec)
    commits = ", ".join(f"`{commit[:9]}`" for commit in runs["run_commit"].unique())
    missing = "**Not complete:** " if len(runs) < len(spec.points) else ""
    facts = (
        f"{link(spec.chapter)}. {missing}{len(runs)} of {len(spec.points)} runs on "
        f"{', '.join(runs['run_device'].unique())}, {runs['run_seconds'].median():.0f} s each "
        f"(median); commit {commits}, {'the present' if present else 'earlier'} sources. "
        f"All columns and rows: {{download}}`{file.name} <../{file.relative_to(ROOT).as_posix()}>`."
    )
    return "\n\n".join([f"## {spec.name}", about(spec), facts, table(spec, frame)])


def about(spec: sweep.Spec) -> str:
    """What the sweep's file says of itself: its opening comment."""
    opening = re.match(r"(#.*\n)*", spec.path.read_text(encoding="utf-8"))[0]
    text = " ".join(line.lstrip("# ") for line in opening.splitlines())
    return re.sub(r"--[\w-]+", r"`\g<0>`", text)  # an option, whose dashes typography would join


def table(spec: sweep.Spec, frame: pd.DataFrame) -> str:
    """Mean ± std and n, as HTML that scrolls by itself."""
    found = sweep.summary(told_apart(spec, frame), spec)
    metrics = list(found.columns[:-1])[:COLUMNS]
    found = found[[*metrics, "n"]].reset_index()
    html = found.to_html(index=False, border=0, classes="table", na_rep="", justify="left")
    html = html.replace(" ± ", "&nbsp;±&nbsp;")
    long = " long" if len(found) > ROWS else ""
    region = f'<div class="scrolls{long}" tabindex="0" role="region" aria-label="{spec.name}">'
    return f"```{{raw}} html\n{region}\n{html}\n</div>\n```"


def told_apart(spec: sweep.Spec, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows, with words where numbers tell the rows of one run apart: a true value, say.

    The summary averages over the rows that agree in all words, and these should be seeds alone.
    """
    measured = frame[metrics(frame, spec)]
    numbers = list(measured.select_dtypes("number"))
    keys = ["run", *measured.columns.difference(numbers, sort=False)]
    while frame.duplicated(keys).any():
        keys.append(numbers.pop(0))
        frame = frame.assign(**{keys[-1]: frame[keys[-1]].map("{:g}".format)})
    return frame


def status() -> str:
    """The page of chapters, as Markdown."""
    columns = ["chapter", "outputs", "date", "seconds", "device", "versions", "commit"]
    lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    for name in names():
        chapter = find(name)
        if chapter.path.with_suffix(".ipynb").is_file():
            lines.append(f"| {' | '.join(made(chapter))} |")
    return f"{STATUS}\n" + "\n".join(lines) + "\n"


def made(chapter: Chapter) -> list[str]:
    """What is known of a chapter's outputs: the cells of its row."""
    notebook = nbformat.read(chapter.path.with_suffix(".ipynb"), as_version=4)
    found = provenance(notebook, chapter.name)
    packages = {"Python": found["python"]} | found["versions"]
    return [
        link(chapter),
        freshness(chapter, notebook.metadata.get("mdlib")),
        found["date"][:10],
        f"{found['seconds']:.0f}",
        f"{found['device']} ({found['device_name']}), threads: {found['threads']}",
        ", ".join(f"{name} {packages[name]}" for name in ("Python", "torch", "numpy", "mdlib")),
        f"`{found['commit'][:9]}`" + (" with changes" if found["dirty"] else ""),
    ]


def provenance(notebook: nbformat.NotebookNode, name: str) -> dict[str, Any]:
    """What `provenance.environment` returned in the notebook's cell tagged "provenance".

    Raises ValueError, which names the notebook, if it has no such cell or the cell no such output.
    """
    cells = [c for c in notebook.cells if "provenance" in c.metadata.get("tags", [])]
    try:
        (cell,) = cells
        (text,) = [o.data["text/plain"] for o in cell.outputs if "text/plain" in o.get("data", {})]
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        path = f"notebooks/{name}.ipynb"
        what = "has no output in its cell tagged 'provenance'"
        if len(cells) != 1:
            what = f"has {len(cells)} cells tagged 'provenance', expected one"
        raise ValueError(
            f"{path} {what}: it was saved before it had run to its end. Run it whole by "
            f"`python tools/pairs.py {name}`, or take the committed one: git checkout {path}"
        ) from None


def freshness(chapter: Chapter, made_with: dict[str, str] | None) -> str:
    """Do outputs belong to the present source? `made_with` is what tools/pairs.py noted."""
    if made_with is None:
        return "unknown"
    if made_with["code"] != plan.code_hash(chapter):
        return "other code"
    return "fresh" if made_with["source"] == plan.source_hash(chapter) else "older mdlib"
