"""The pages that are written from files: results, conformance, status, the reference."""

import inspect
import re
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest

from mdlib import sweep
from mdlib.notebook import chapters
from mdlib.notebook.chapters import Chapter
from mdlib.sweep import ledger, sources

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book"))
pages, docstrings = import_module("pages"), import_module("docstrings")

TABLE = (ROOT / "book" / "notation.md").read_text(encoding="utf-8")
NOTATION = re.findall(r"^\| .+ \| `(.+)` \| `(\w+)` \|$", TABLE, re.MULTILINE)


# --- results


@pytest.fixture(scope="module")
def results():
    return pages.results()


def test_the_ledger_shows_the_verdicts_of_the_files(results):
    said = pd.read_csv(ROOT / "notebooks/sweeps/frozen_encoders.claims.csv", index_col="claim")
    one = said.loc["small-batch-information"]
    shown = f"{one['a − b']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}]"
    assert f"| **{one['verdict']}** ({one['kind']}) | {shown} | {one['n']} |" in results
    assert one["run_commit"][:9] in results
    for entry in ledger.read().values():
        assert f"| {entry.says} |" in results


def test_results_name_every_sweep_and_give_its_files(results):
    for path in (ROOT / "notebooks" / "sweeps").glob("*.yaml"):
        done = path.with_suffix(".csv").exists()
        assert (f"### {path.stem}\n" in results) == done
        assert (f"- `{path.stem}`" in results) == (not done)
        for file in (path.with_suffix(".csv"), path.with_suffix(".claims.csv")):
            assert (f"../notebooks/sweeps/{file.name}>" in results) == file.exists()


def test_the_summary_counts_every_claim_once():
    found = ledger.table()
    lines = [line.split(" | ") for line in pages.summary(found).splitlines()[2:]]
    counts = [sum(int(cell.strip("| ") or 0) for cell in line[1:]) for line in lines]
    assert counts[-1] == len(found) == sum(counts[:-1])
    assert 0 not in counts, "a row that counts nothing"
    assert len(lines) <= 30  # one screen


def test_works_that_were_never_tried_are_one_row_if_there_are_any():
    of = {"source": ["grill2020byol", "kim2018factorising", "hjelm2019dim"]}
    found = pd.DataFrame(of | {"verdict": ["holds", "not yet tried", "not testable here"]})
    assert list(pages.counts(found).index) == ["Grill et al. 2020", "2 other works"]
    assert list(pages.counts(found[:2]).index) == ["Grill et al. 2020", "1 other work"]
    assert list(pages.counts(found[:1]).index) == ["Grill et al. 2020"]


def test_the_readme_has_the_summary():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    there = re.search(r"<!-- ledger: .*-->\n\n((?:\|.*\n)+)", text)
    assert there, "README.md has lost the mark of its ledger"
    expected = pages.summary(ledger.table())
    assert there[1].strip() == expected, "put there what `python book/pages.py` prints"


def test_works_are_named_as_people_say_them():
    assert pages.named("grill2020byol") == "Grill et al. 2020"
    assert pages.named("hjelm2019dim") == "Hjelm et al. 2019"
    assert pages.named("kim2018factorising") == "Kim and Mnih 2018"
    assert pages.named("kuegelgen2021content") == "von Kügelgen et al. 2021"
    assert pages.named("tian2020views") == "Tian et al. 2020a"
    assert pages.named("tian2020cmc") == "Tian et al. 2020b"
    assert len({*map(pages.named, pages.WORKS)}) == len(pages.WORKS)


def test_what_changed_since_a_sweep_is_said(monkeypatch):
    spec = sweep.load("identifiability", need_data=False)
    rows = sweep.read_csv(spec).drop_duplicates("run")
    monkeypatch.setattr(pages, "sources_now", lambda spec, runs: runs["run"].str[-12:])
    assert pages.since(spec, rows) == ", the present sources"
    monkeypatch.setattr(pages, "sources_now", lambda spec, runs: "0" * 12)
    names = ["the chapter", "mdlib.losses", *"abc"]
    monkeypatch.setattr(pages.sources, "changed", lambda chapter, before, runs: names)
    said = pages.since(spec, rows)
    assert said == "; another since: the chapter, `mdlib.losses`, `a`, `b` and 1 more"
    assert pages.since(spec, rows.assign(run_commit="0" * 40)) == ", earlier sources"
    made = rows["run_commit"] + "+changes"
    assert pages.since(spec, rows.assign(run_commit=made)) == ", and code that no commit has"


# --- conformance


def test_conformance_has_a_row_for_each_entry_and_its_source_at_the_commit():
    text, file = pages.conformance(), pages.releases.read()
    found = pages.releases.compared().groupby("entry")["difference"].max()
    rows = [line for line in text.splitlines() if "](https://github.com/" in line]
    right = [entry for entry in file["entries"] if "release" not in entry]
    errs = [entry for entry in file["entries"] if "release" in entry]
    for row, entry in zip(rows, right + errs, strict=True):
        assert row.replace("\\|", "").count("|") == 6
        source = file["sources"][entry["source"]]
        assert f"{source['repository']}/blob/{source['commit']}/{entry['path']}" in row
        assert f"| {entry['what']} |" in row and f"| {found[entry['id']]:.0e} |" in row
        assert (", right is " in row) == ("release" in entry)
    for one in file["options"]:
        assert f"| `{one['option']}` | {pages.here(one)} | {one['theirs']} |" in text


def test_a_remark_says_how_the_two_are_related():
    entry = {"numbers": {"loss": 1.0}, "scale": 2, "shift": 2, "remark": "A |b|."}
    assert pages.remark(entry) == "ours = 2 · theirs + 2. A \\|b\\|."
    entry = {"numbers": {"loss": 1.0}, "shift": -0.69, "shift_is": "−log 2"}
    assert pages.remark(entry) == "ours = theirs − log 2."
    assert pages.remark({"numbers": {"loss": 1.0}}) == ""
    entry = {"numbers": {"loss": 1.5}, "release": {"loss": 0.5}, "errs": "Why."}
    assert pages.remark(entry) == "The release has 0.5, right is 1.5. Why."


# --- status


def test_status_has_a_row_for_each_chapter_with_outputs():
    rows = re.findall(r"^\| .* \| \d{4}‑\d\d‑\d\d \| \d+ s \|", pages.status(), re.MULTILINE)
    paths = [chapters.find(name).path.with_suffix(".ipynb") for name in chapters.names()]
    assert len(rows) == sum(path.exists() for path in paths)


def test_outputs_are_compared_with_the_present_source(tmp_path):
    path = tmp_path / "tiny.py"
    path.write_text("# %% [markdown]\n# # Tiny\n\n# %%\nx = 1\n")
    chapter = Chapter(path)
    code, source = sources.code_hash(chapter), sources.source_hash(chapter)
    assert pages.freshness(chapter, {"code": code, "source": source}) == "fresh"
    assert pages.freshness(chapter, {"code": code, "source": "0" * 12}) == "older mdlib"
    assert pages.freshness(chapter, None) == "unknown"
    path.write_text("# %% [markdown]\n# # Changed\n\n# %%\nx = 1\n")
    assert sources.code_hash(Chapter(path)) == code
    path.write_text("# %% [markdown]\n# # Tiny\n\n# %%\nx = 2\n")
    assert pages.freshness(Chapter(path), {"code": code, "source": source}) == "other code"


def test_provenance_is_read_from_the_notebook():
    text = "{'date': '2026-11-22T05:53:52+00:00', 'device': 'cpu', 'seconds': 1.5}"
    output = nbformat.v4.new_output("execute_result", data={"text/plain": text})
    cell = nbformat.v4.new_code_cell(metadata={"tags": ["provenance"]}, outputs=[output])
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(), cell])
    assert pages.provenance(notebook, "a")["seconds"] == 1.5


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([], "notebooks/theory/a.ipynb has 0 cells tagged 'provenance'"),
        ([[]], "notebooks/theory/a.ipynb has no output in its cell tagged 'provenance'"),
        ([["text", "{'date"]], "notebooks/theory/a.ipynb has no output"),
        ([["text", "oops("]], "tools/pairs.py theory/a"),
        ([[], []], "git checkout notebooks/theory/a.ipynb"),
    ],
)
def test_a_notebook_that_was_not_run_whole_is_named(cells, message):
    made = []
    for found in cells:
        outputs = [nbformat.v4.new_output("stream", text="a warning")]
        if found:
            outputs += [nbformat.v4.new_output("execute_result", data={"text/plain": found[1]})]
        metadata = {"tags": ["provenance"]}
        made.append(nbformat.v4.new_code_cell(metadata=metadata, outputs=outputs))
    with pytest.raises(ValueError, match=re.escape(message)):
        pages.provenance(nbformat.v4.new_notebook(cells=made), "theory/a")


# --- the package's reference


def test_reference_has_every_public_module():
    there = {path.stem for path in (ROOT / "mdlib").glob("[!_]*.py")}
    there |= {path.parent.name for path in (ROOT / "mdlib").glob("*/__init__.py")}
    listed = re.findall(
        r"file: book/api/mdlib/(?:(\w+)/)?index", (ROOT / "book/_toc.yml").read_text()
    )
    assert listed[0] == "" and sorted(listed[1:]) == sorted(there - {"cli"})  # that has --help


def test_docstrings_become_restructured_text():
    text = """Codes [N] of `x_i`, x_i, x_ and |x| * 2, *really*.

    So:
        a = x_ * 2

        b = 1
    End::

        c = |x|

    Fields (of it):
        a, b: two,
            long_.
        c: |x|
    Attributes:
        d: one
    Args:
        e, f: |two|,
            long.
    """
    assert docstrings.translate(inspect.cleandoc(text).splitlines()) == [
        r"Codes [N] of `x_i`, x_i, x\_ and \|x\| \* 2, *really*.",
        *("", "So:", "", "::", "", "    a = x_ * 2", "", "    b = 1"),
        *("End::", "", "    c = |x|", ""),
        *("Fields (of it):", "", "    * ``a, b``: two,", r"      long\_.", r"    * ``c``: \|x\|"),
        *("Attributes", "", "    * ``d``: one"),
        *("Args:", r"    e, f: \|two\|,", "        long."),
    ]


def test_works_in_docstrings_become_links():
    for work, address in [
        ("arXiv:1807.03748", "arxiv.org/abs/1807.03748"),
        ("github.com/a/b_c", "github.com/a/b_c"),
        ("doi:10.24432/C50P49", "doi.org/10.24432/C50P49"),
    ]:
        assert docstrings.text(f"see {work}.") == f"see `{work} <https://{address}>`__."


# --- notation


@pytest.mark.parametrize(("name", "chapter"), NOTATION)
def test_names_in_the_notation_exist(name, chapter):
    path, _, parameter = name.rstrip(")").partition("(")
    if "." not in path:
        code = "\n".join(c.source for c in chapters.find(chapter).cells if c.kind == "code")
        assert re.search(rf"\b{path}\b", code), f"no cell of {chapter} has {name}"
        return
    thing = SimpleNamespace(mdlib=import_module("mdlib"))
    for part in ["mdlib", *path.split(".")]:
        thing = member(thing, part)
    assert not parameter or parameter in inspect.signature(thing).parameters


def member(thing, name):
    """An attribute, a module inside a package, or the annotation of a data class's field."""
    if name in getattr(thing, "__annotations__", {}):
        return thing.__annotations__[name]
    if inspect.ismodule(thing) and not hasattr(thing, name):
        return import_module(f"{thing.__name__}.{name}")
    return getattr(thing, name)


def test_every_row_of_the_notation_is_checked():
    assert len(NOTATION) == TABLE.count("\n| $") > 40


def test_a_claim_of_one_seed_is_in_no_forest(monkeypatch):
    spec = next(one for one in pages.specs() if one.claims and pages.claims_path(one).is_file())
    said = sweep.claims(spec)
    first = said.index[0]
    alone = said.assign(low=said["low"].where(said.index != first, -np.inf))
    monkeypatch.setattr(pages.sweep, "claims", lambda spec: alone)
    assert len(pages.judged([spec])) == said["low"].notna().sum() - 1
    assert "Infinity" not in pages.pictures.forest(pages.judged([spec]))


def test_a_bar_in_a_cell_ends_no_cell():
    text = pages.markdown(["a"], [["q(z|x)"], [r"max \|Δ\|"]])
    assert text.splitlines()[2:] == [r"| q(z\|x) |", r"| max \|Δ\| |"]
