"""Pages whose content comes from files: results, conformance with released code, and status.

As a script it prints the summary of the ledger, which README.md has between its marks.
"""

from __future__ import annotations

import ast
import atexit
import io
import re
import subprocess
import tarfile
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import conformance as releases
import nbformat
import numpy as np
import pandas as pd
import pictures
from pybtex.database import parse_file

from mdlib import methods, sweep
from mdlib.notebook.chapters import Chapter, find, names
from mdlib.notebook.provenance import CHANGED, short
from mdlib.sweep import ledger, sources
from mdlib.sweep.claims import claims_path
from mdlib.sweep.rowfile import csv_path
from mdlib.sweep.table import sources_now

ROOT = Path(__file__).resolve().parents[1]
SAID = 4  # of the names of what is another than when rows were made
WORKS = parse_file(ROOT / "book" / "references.bib").entries

RESULTS = """# What holds

What the works behind this book claim, in our words, and what came of it here. When the site is
built, every verdict and number is read from the files that `mdlib collect` writes from the runs;
`mdlib claims` prints the same, and `mdlib claims ID --run` runs it again.

A claim is of a difference a − b, with its 95 % interval (Student's, over n seeds): it *holds* where
the interval lies beyond its margin, also after Holm's adjustment over its family; it *fails* where
the interval lies on the other side; *equivalent* is a difference too small to care for; of
*undecided* nothing follows. Where several claims speak to one sentence, they are counted, and their
differences are given from the smallest to the largest. A claim is *confirmatory* if it was
committed before its rows were made, else *exploratory*. [](protocol.md) says how methods are
compared.

<figure class="picture-of-rows">{picture}</figure>

:::{{dropdown}} The same in numbers
{summary}
:::
"""

FOREST = """## Every difference

All claims that were tried on rows, of the works and our own controls.

"""

ROWS = """## All rows

Each sweep's rows and verdicts as files, to sort and to filter in any program for tables. What the
numbers mean, and what they do not show, is for the chapters to say. *Another since* names what the
numbers come from and whose code is no longer that of their commit. Figures do not count, nor do
data sets and methods that no row names. `mdlib replay NAME` says whether numbers are others, too.
"""

CONFORMANCE = """# Conformance

Our losses and schedules beside released code: the authors' own, or, where they have released none
that is at hand, code of others that many use (marked †). The functions of each were run once, on
inputs made of sines, which anyone can build again; their numbers are frozen in
{download}`conformance.yaml <../tests/conformance.yaml>` with repository, path, commit and inputs.
Here ours are calculated when the site is built. A number is a loss, or the norm of one of its
gradients; max |Δ| is the largest difference over an entry's numbers. About 1e-12 is float64's
rounding, and 1e-7 float32's, in which our networks hand on what they give. A test refuses more.

Where ours is on another scale, the remark says how the two are related, and the difference is from
that. No code of others is part of this book.

"""

ERRS = """## Where a release errs

Here the expected number is *not* the release's. What it should be was calculated another way, which
the remark names.
"""

OPTIONS = """## Options that differ

Some defaults of ours that differ from the authors', and the value that does as they do (all heads
are narrower, too). Training is the same for all methods of a comparison unless it is asked for
here.
"""

NOT_COMPARED = "## Not compared"

STATUS = """# Status

When the outputs were made that the chapters show, as the last cell of each notebook says, and
whether they belong to the present source:

- *fresh*: made by the chapter's code and the package as they are here;
- *older mdlib*: the chapter's code is the same, but something in the package has changed since;
- *other code*: the chapter's code has changed since, which a test refuses;
- *unknown*: written before notebooks kept this.

*Took* is by the clock, also where other work ran beside it; what a chapter says of its time is of
one core that does nothing else. Unless a row says otherwise, outputs were made on and with:
"""


def link(chapter: Chapter) -> str:
    """The chapter's title, as a link if the site shows the chapter."""
    toc = (ROOT / "book" / "_toc.yml").read_text(encoding="utf-8")
    page = chapter.path.relative_to(ROOT).with_suffix("").as_posix()
    there = re.search(rf"file: {page}$", toc, re.MULTILINE)
    return f"[{chapter.title}](../{page})" if there else f"{chapter.title} (in preparation)"


@cache
def specs() -> list[sweep.Spec]:
    """All sweeps of the book, by name."""
    paths = sorted((ROOT / "notebooks" / "sweeps").glob("*.yaml"))
    return [sweep.load(path, need_data=False) for path in paths]


def results() -> str:
    """The page of results, as Markdown: the ledger, then what can be had of every sweep."""
    done = [spec for spec in specs() if csv_path(spec).is_file()]
    waiting = [
        f"- `{spec.name}`, {len(spec.points)} runs of {link(spec.chapter)}. {about(spec)}"
        for spec in specs()
        if spec not in done
    ]
    if waiting:
        waiting = ["### Not yet run", "\n".join(waiting)]
    found = ledger.table()
    opening = RESULTS.format(summary=summary(found), picture=pictures.ledger(counts(found)))
    parts = [
        opening,
        FOREST + pictures.forest(judged(specs())),
        *(work(found, key) for key in found["source"].unique()),
    ]
    return "\n\n".join([*parts, ROWS, *map(result, done), *waiting]) + "\n"


def judged(specs: list[sweep.Spec]) -> list[dict[str, Any]]:
    """A row a claim with an interval, for the forest."""
    rows = []
    for spec in specs:
        if not claims_path(spec).is_file():
            continue
        said = sweep.claims(spec)
        for name, one in said[np.isfinite(said["low"])].iterrows():
            claim = spec.claims[name]
            works = [claim.source] if isinstance(claim.source, str) else claim.source
            rows.append(
                {
                    "says": one["says"],
                    "verdict": one["verdict"],
                    "d": round(one["a − b"], 4),
                    "low": round(one["low"], 4),
                    "high": round(one["high"], 4),
                    "n": int(one["n"]),
                    "metric": claim.column("a"),
                    "work": ", ".join(named(key) for key in works) or "no work, our own",
                    "data": one["dataset"],
                }
            )
    return rows


def named(key: str) -> str:
    """A work as people say it: Grill et al. 2020, and 2020a or 2020b if there are two of these."""
    same = [other for other in WORKS if authors_year(other) == authors_year(key)]
    return authors_year(key) + (ascii_lowercase[same.index(key)] if len(same) > 1 else "")


@cache
def authors_year(key: str) -> str:
    entry = WORKS[key]
    names = [" ".join(p.prelast_names + p.last_names) for p in entry.persons["author"]]
    few = len(names) < 3 and names[-1] != "others"
    who = " and ".join(names) if few else f"{names[0]} et al."
    return f"{who} {entry.fields['year']}"


def counts(found: pd.DataFrame) -> pd.DataFrame:
    """How many claims of each work came out how: a row a work, works never tried in one."""
    kinds = {
        "hold": {"holds"},
        "in part": {"holds in some"},
        "not shown": {"fails", "equivalent", "undecided", "holds in none"},
        "proved, tested": {"proved", "tested"},
        "not testable": {"not testable here"},
        "not yet tried": {"not yet tried"},
    }
    table = pd.DataFrame({kind: found["verdict"].isin(words) for kind, words in kinds.items()})
    table = table.groupby(found["source"], sort=False).sum()
    tried = table.drop(columns=["not testable", "not yet tried"]).any(axis=1)
    shown, others = table[tried].rename(index=named), (~tried).sum()
    if others:
        shown.loc[f"{others} other work{'s' if others > 1 else ''}"] = table[~tried].sum()
    return shown


def summary(found: pd.DataFrame) -> str:
    """The same as Markdown, and the sum; README.md has it."""
    table = counts(found)
    table.loc["*all*"] = table.sum()
    lines = [[work, *(count or "" for count in row)] for work, *row in table.itertuples()]
    return markdown(["claims of", *table], lines)


def stacks(kind: str, table: str) -> str:
    """A table whose cells stand below one another on a phone; book.css knows its kind."""
    return f"```{{table}}\n:class: stacks {kind}\n\n{table}\n```"


def markdown(columns: list[str], lines: list[list[Any]]) -> str:
    rows = [columns, ["---"] * len(columns), *lines]
    cells = [[re.sub(r"(?<!\\)\|", r"\\|", str(cell)) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def work(found: pd.DataFrame, key: str) -> str:
    """One work's claims, what came of each, and where."""
    rows = found[found["source"] == key]
    lines = [
        [one["says"], came_of_it(one), one["a − b"].replace("-", "−"), one["n"], tried_by(one)]
        for _, one in rows.iterrows()
    ]
    columns = ["it claims", "verdict", "a − b", "n", "tried by"]
    return f"## {named(key)}\n\n{{cite:p}}`{key}`\n\n" + stacks("ledger", markdown(columns, lines))


def came_of_it(one: pd.Series) -> str:
    words = f"**{one['verdict']}**"
    words += f": {one['counts']}" if one["verdict"].startswith("holds in") else ""
    return words + (f" ({one['kind']})" if one["kind"] else "")


def tried_by(one: pd.Series) -> str:
    """The chapter or the test, or why there is none."""
    if one["pointer"] == "theorem":
        return f"{{prf:ref}}`{one['label']}`"
    if one["pointer"] == "test":
        return f"`{one['where']}`"
    if one["pointer"] != "claim":
        return one["where"]
    sweeps = one["where"].split(", ")
    there = dict.fromkeys(link(find(ledger.chapter_of(name))) for name in sweeps)
    made = "; ".join(filter(None, [one["data"], one["device"], one["commit"]]))
    return f"{', '.join(there)}: {', '.join(f'`{name}`' for name in sweeps)} ({made})"


def result(spec: sweep.Spec) -> str:
    """One sweep: what it asks, who ran it, and its files."""
    frame = sweep.read_csv(spec)
    runs = frame.drop_duplicates("run")
    commits = ", ".join(f"`{short(commit)}`" for commit in runs["run_commit"].unique())
    missing = "**Not complete:** " if len(runs) < len(spec.points) else ""
    files = [file for file in (csv_path(spec), claims_path(spec)) if file.is_file()]
    places = [file.relative_to(ROOT).as_posix() for file in files]
    downloads = [
        f"{{download}}`{file.name} <../{place}>`" for file, place in zip(files, places, strict=True)
    ]
    facts = (
        f"{link(spec.chapter)}. {missing}{len(runs)} of {len(spec.points)} runs on "
        f"{', '.join(runs['run_device'].unique())}, {runs['run_seconds'].median():.0f} s each "
        f"(median); commit {commits}{since(spec, runs)}. "
        f"{len(frame)} rows: {', '.join(downloads)}."
    )
    return "\n\n".join([f"### {spec.name}", about(spec), facts])


def since(spec: sweep.Spec, runs: pd.DataFrame) -> str:
    """Is the code that the rows came from still the present one? If not, what is another since."""
    if runs["run_commit"].astype(str).str.endswith(CHANGED).any():
        return ", and code that no commit has"
    if (runs["run"].str.rpartition("-")[2] == sources_now(spec, runs)).all():
        return ", the present sources"
    given = [spec.points[number - 1].parameters for number in runs["number"]]
    changed: dict[str, None] = {}
    for commit in runs["run_commit"].dropna().unique():
        try:
            changed |= dict.fromkeys(sources.changed(spec.chapter, earlier(commit), given))
        except (tarfile.TarError, subprocess.CalledProcessError, ValueError):
            return ", earlier sources"  # a shallow clone, or a chapter that can't be read
    said = [name if name == "the chapter" else f"`{name}`" for name in changed]
    rest = f" and {len(said) - SAID} more" if len(said) > SAID else ""
    return f"; another since: {', '.join(said[:SAID])}{rest}" if said else ", the present sources"


@cache
def earlier(commit: str) -> Path:
    """The code of the project as it was in a commit, in a folder that goes when Python ends."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    packed = subprocess.run(
        ["git", "-C", ROOT, "archive", commit, "mdlib", ":(glob)notebooks/**/*.py"],
        check=True, capture_output=True,
    ).stdout  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder.name, filter="data")
    return Path(folder.name)


def about(spec: sweep.Spec) -> str:
    """What the sweep's file says of itself: its opening comment."""
    opening = re.match(r"(#.*\n)*", spec.path.read_text(encoding="utf-8"))[0]
    text = " ".join(line.lstrip("# ") for line in opening.splitlines())
    return re.sub(r"--[\w-]+", r"`\g<0>`", text)  # an option, whose dashes typography would join


def conformance() -> str:
    """The page of our code beside released code, as Markdown; the differences are calculated."""
    file = releases.read()
    found = releases.compared().groupby("entry")["difference"].max()
    errs = [entry for entry in file["entries"] if "release" in entry]
    right = [entry for entry in file["entries"] if entry not in errs]
    columns = ["method", "what", "released code", "max \\|Δ\\|", "remark"]

    def table(entries: list[dict[str, Any]]) -> str:
        lines = []
        for entry in entries:
            source = file["sources"][entry["source"]]
            repository, commit = source["repository"], source["commit"]
            at = f"https://github.com/{repository}/blob/{commit}/{entry['path']}"
            by = "" if source["of"] == "authors" else "†"
            code = f"[`{entry['released']}`]({at}){by}, {repository} `{commit[:9]}`"
            cells = [of_method(entry["method"]), entry["what"], code]
            lines.append([*cells, f"{found[entry['id']]:.0e}", remark(entry)])
        return markdown(columns, lines)

    options = [
        [of_method(one["method"]), f"`{one['option']}`", here(one), one["theirs"], one["says"]]
        for one in file["options"]
    ]
    parts = [
        CONFORMANCE + table(right),
        ERRS + "\n" + table(errs),
        OPTIONS + "\n" + markdown(["method", "option", "here", "theirs", "which is"], options),
        NOT_COMPARED,
        "\n".join(f"- {of_method(name)}: {why}." for name, why in file["not_compared"].items()),
    ]
    return "\n\n".join(parts) + "\n"


def of_method(name: str) -> str:
    return methods.find(name).title if name in methods.names() else name


def here(one: dict[str, Any]) -> Any:
    """Our default of an option that differs."""
    return methods.options_of(methods.find(one["method"]))[one["option"]]


def remark(entry: dict[str, Any]) -> str:
    """How ours is related to the release's number, and what the file says of it."""
    scale, shift = entry.get("scale", 1), entry.get("shift", 0)
    parts = []
    if scale != 1 or shift:
        times = "" if scale == 1 else f"{scale:g} · "
        plus = entry.get("shift_is", f"{shift:g}")
        plus = f" − {plus.lstrip('−')}" if plus.startswith("−") else f" + {plus}"
        parts.append(f"ours = {times}theirs{plus if shift else ''}.")
    if "release" in entry:
        (number,) = entry["release"].values()
        right = next(iter(entry["numbers"].values()))
        parts.append(f"The release has {number:.4g}, right is {right:.4g}. {entry['errs']}")
    if "remark" in entry:
        parts.append(entry["remark"])
    return " ".join(parts).replace("|", "\\|")


def status() -> str:
    """The page of chapters, as Markdown: what most have in common, then a row for each."""
    found = {}
    for name in names():
        chapter = find(name)
        path = chapter.path.with_suffix(".ipynb")
        if path.is_file():
            notebook = nbformat.read(path, as_version=4)
            made = provenance(notebook, name)
            found[name] = made, freshness(chapter, notebook.metadata.get("mdlib"))
    places = Counter(place(made) for made, _ in found.values())
    usual = places.most_common(1)[0][0] if places else ""
    lines = [
        [
            link(find(name)), fresh,
            made["date"][:10].replace("-", "‑"),  # a hyphen at which no line ends
            f"{made['seconds']:.0f} s",
            f"`{made['commit'][:9]}`" + (" with changes" if made["dirty"] else ""),
            "" if place(made) == usual else place(made),
        ]
        for name, (made, fresh) in found.items()
    ]  # fmt: skip
    columns = ["chapter", "outputs", "made", "took", "commit"]
    if all(not line[-1] for line in lines):
        lines = [line[:-1] for line in lines]
    else:
        columns.append("where, if not as above")
    return f"{STATUS}\n{usual}.\n\n{stacks('status', markdown(columns, lines))}\n"


def place(made: dict[str, Any]) -> str:
    """On what, and with what, outputs were made."""
    packages = {"Python": made["python"]} | made["versions"]
    versions = ", ".join(f"{name} {packages[name]}" for name in ("Python", "torch", "numpy"))
    threads = f"{made['threads']} thread{'s' if made['threads'] != 1 else ''}"
    return f"{made['device']} ({made['device_name']}), {threads}; {versions}"


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
    if made_with["code"] != sources.code_hash(chapter):
        return "other code"
    return "fresh" if made_with["source"] == sources.source_hash(chapter) else "older mdlib"


if __name__ == "__main__":
    print(summary(ledger.table()))
