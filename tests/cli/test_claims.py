"""`mdlib claims`: what it lists, shows and runs again; `mdlib collect` prints verdicts."""

import re

import pytest
from typer.testing import CliRunner

from mdlib import cli, sweep
from mdlib.notebook import chapters

CHAPTER = """\
# %% [markdown]
# # A tiny chapter

# %% tags=["parameters"]
seed = 0  # of nothing
name = "p"  # of two
out = ""  # where to

# %%
import mdlib

mdlib.record(out, seed=seed, score=seed % 3 + (name == "p"))
"""
SWEEP = """\
chapter: tiny
grid:
  name: [p, q]
seeds: 3
claims:
  first:
    says: p above q
    source: one2001
    metric: score
    a: {name: p}
    b: {name: q}
  second:
    says: q above p
    metric: score
    a: {name: q}
    b: {name: p}
"""
LEDGER = """\
claims:
  seen:
    source: one2001
    says: it is so
    claim: s/first
  both:
    source: one2001
    says: it is so and not so
    claim: s/*
  hoped:
    source: one2001
    says: it will be so
    untried: tiny
"""


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A book with one sweep, which was run and collected, and a ledger."""
    root = tmp_path_factory.mktemp("book")
    for folder in ("notebooks/sweeps", "book"):
        (root / folder).mkdir(parents=True)
    (root / "notebooks/tiny.py").write_text(CHAPTER)
    (root / "notebooks/sweeps/s.yaml").write_text(SWEEP)
    (root / "book/references.bib").write_text("@misc{one2001,\n}\n")
    (root / "book/claims.yaml").write_text(LEDGER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chapters, "root", lambda: root)
        sweep.run(sweep.load("s"), quiet=True)
        yield root


def said(*arguments):
    done = CliRunner().invoke(cli.app, list(arguments))
    return done.exit_code, re.sub(r" +", " ", done.output)


def test_collect_writes_and_prints_the_verdicts(book):
    code, text = said("collect", "s")
    assert code == 0
    assert "first holds > 0 +1.00 [+1.00, +1.00] 3" in text
    assert "second fails > 0 -1.00 [-1.00, -1.00] 3" in text
    assert "first: exploratory, for " in text
    before = sweep.claims("s")
    (book / "notebooks/sweeps/s.claims.csv").unlink()
    assert said("collect", "s", "--claims")[0] == 0
    assert sweep.claims("s").equals(before)


def test_the_ledger_is_listed(book):
    code, text = said("claims")
    assert code == 0
    assert re.search(r"seen one2001 it is so holds \+1\.00 ", text)
    assert re.search(r"both .* holds in some", text)
    assert re.search(r"hoped .* not yet tried", text)


def test_one_is_shown_with_its_rows(book):
    code, text = said("claims", "seen")
    assert code == 0
    assert text.startswith("it is so (one2001)\nholds; claim: s/first\n")
    assert "exploratory, for " in text
    assert re.findall(r"^ *(\d) (\d) (\d) (\d) *$", text.replace(".0", ""), re.M) == [
        ("0", "1", "0", "1"),
        ("1", "2", "1", "1"),
        ("2", "3", "2", "1"),
    ]
    assert "its rows" in said("claims", "second")[1]
    text = said("claims", "both")[1]
    assert "first holds" in text and "second fails" in text and "its rows, by" not in text
    assert said("claims", "hoped") == (0, "it will be so (one2001)\nnot yet tried; untried: tiny\n")


def test_one_is_run_again_with_other_seeds_and_the_committed_files_stay(book):
    files = sorted((book / "notebooks/sweeps").iterdir())
    before = [file.read_bytes() for file in files]
    code, text = said("claims", "seen", "--run", "--seeds", "20-22,30", "--dry-run")
    assert code == 0 and "8 runs of tiny, about 0:00:" in text
    assert not (book / "runs/claims").exists()
    code, text = said("claims", "seen", "--run", "--seeds", "20-21")
    assert code == 0
    assert "4 runs of tiny" in text
    assert "committed first holds > 0 +1.00 [+1.00, +1.00] 3" in text
    assert "now first holds > 0 +1.00 [+1.00, +1.00] 2" in text
    assert "20, 21" in text
    assert len(list((book / "runs/claims/first").glob("*-*"))) == 4
    assert [file.read_bytes() for file in sorted((book / "notebooks/sweeps").iterdir())] == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sen"], "unknown claim 'sen': did you mean 'seen' or"),
        (["frist"], "unknown claim 'frist': did you mean 'first'?"),
        (["--run"], "--run: say which claim"),
        (["hoped", "--run"], "--run: no claim of a sweep is behind hoped"),
        (["first", "--seeds", "3"], "--seeds and --dry-run go with --run"),
        (["both", "--run"], "both has 2 claims behind it, run one of them: first, second"),
        (["first", "--run", "--seeds", "x"], "--seeds x: expected seeds such as 20-24 or 20,22"),
        (["first", "--run", "--seeds", "7,5-4"], "--seeds 7,5-4: 5-4 goes down, expected 4-5"),
        (["first", "--run", "--seeds", "0-1999"], "--seeds 0-1999: 2000 seeds, expected 1000 at"),
        (["first", "--run", "--seeds", f"0-{10**30}"], "seeds, expected 1000 at most"),
        (["first", "--run", "--seeds", "5,5"], "--seeds 5,5: expected seeds"),
    ],
)
def test_what_makes_no_sense_is_refused(book, arguments, message):
    code, text = said("claims", *arguments)
    assert code == 2
    assert message in text


def test_one_is_judged_again_within_its_family(book, monkeypatch):
    """Holm's adjustment is over the family as it was, not over the one that was run again."""
    wide = SWEEP + "".join(
        f"  other-{n}:\n    says: x\n    metric: score\n    a: {{name: p}}\n    b: {n}.5\n"
        for n in range(9)
    )
    (book / "notebooks/sweeps/w.yaml").write_text(
        wide.replace("seeds: 3", "seeds: 2").replace("first:", "one:").replace("second:", "two:")
    )
    spec = sweep.load("w")
    sweep.run(spec, quiet=True)
    sweep.collect(spec)
    kept = sweep.claims(spec)
    alone = kept["p"] < 0.05
    assert (kept.loc[alone, "verdict"] == "undecided").any()  # it matters here
    for name in kept.index[alone & (kept["verdict"] == "undecided")][:1]:
        code, text = said("claims", name, "--run")
        assert code == 0
        rows = re.findall(rf"(?:committed|now) {name} (\w+) .*? (\S+ \[.*?\]) 2 (\S+)", text)
        assert len(rows) == 2 and rows[0] == rows[1], text


def test_without_all_runs_there_is_no_new_verdict(book, monkeypatch):
    from mdlib.sweep import driver

    real = driver.run

    def half(spec, *given, **options):
        done = real(spec, *given, **options)
        done.counts["done"] -= 1
        return done

    monkeypatch.setattr(sweep, "run", half)
    code, text = said("claims", "seen", "--run", "--seeds", "40-41")
    assert code == 1 and "no new verdict: 1 of 4 runs are not done" in text and "now" not in text


def test_verdicts_that_were_edited_are_not_shown(book):
    path = book / "notebooks/sweeps/s.claims.csv"
    before = path.read_text()
    path.write_text(before.replace("fails", "holds"))
    code, text = said("claims", "second")
    path.write_text(before)
    assert code == 2 and "is not what s.csv says" in text


@pytest.mark.parametrize(("old", "new"), [("b: {name: q}", "b: 0.5"), ("first:", "third:")])
def test_nothing_is_run_for_a_claim_that_was_edited_since(book, monkeypatch, old, new):
    path = book / "notebooks/sweeps/s.yaml"
    monkeypatch.setattr(sweep, "run", None)
    path.write_text(SWEEP.replace(old, new))
    results = [said("claims", "first", "--run", *more) for more in ([], ["--dry-run"])]
    path.write_text(SWEEP)
    for code, text in results:
        assert code == 2 and "is not what s.csv says" in text


@pytest.mark.parametrize(("given", "message"), [("--stale", "no --out, no"), ("", "no claims to")])
def test_nothing_to_judge(book, given, message):
    (book / "notebooks/sweeps/bare.yaml").write_text("chapter: tiny\nseeds: 1\n")
    code, text = said("collect", "bare", "--claims", *([given] if given else []))
    assert code == 2 and message in text
