"""Every pointer of the ledger leads to something, and its verdict is what stands there."""

import pandas as pd
import pytest

from mdlib.notebook import chapters
from mdlib.sweep import ledger
from mdlib.sweep.claims import read_verdicts

ENTRY = "claims:\n  one:\n    source: one2001\n    says: so it is\n"
SAID = {
    "verdict": "holds",
    "a − b": 1.0,
    "low": 0.5,
    "high": 1.5,
    "n": 5,
    "kind": "confirmatory",
    "dataset": "digits",
    "run_device": "cpu",
    "run_commit": "0123456789abcdef",
}


# --- the book's


def test_every_pointer_leads_somewhere():
    found = ledger.table()
    assert len(found) == len(ledger.read()) >= 40
    assert not found[["verdict", "where"]].eq("").any(axis=None)


def test_who_is_to_try_a_claim_is_a_chapter():
    for name, entry in ledger.read().items():
        if entry.untried:
            chapter = entry.untried.split()[0]
            assert chapter.startswith("gallery/") or chapter in chapters.names(), name


def test_ids_are_either_the_ledgers_or_a_sweeps():
    said = ledger.verdicts()
    assert said.index.is_unique
    assert not set(said.index) & set(ledger.read())


def test_the_works_of_the_gallery_and_the_core_are_all_there():
    works = {entry.source for entry in ledger.read().values()}
    assert {"lee2023rigorous", "bizeul2024probabilistic", "lee2022partitioning"} <= works
    assert {"cao2022disentanglement", "grill2020byol"} <= works
    assert len(works) >= 20


# --- any


@pytest.fixture
def book(tmp_path, monkeypatch):
    for folder in ("notebooks/sweeps", "book", "tests"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "book/references.bib").write_text("@misc{one2001,\n}\n")
    (tmp_path / "notebooks/tiny.py").write_text("# %% [markdown]\n# # Tiny\n# :label: thm-tiny\n")
    (tmp_path / "tests/test_it.py").write_text("def test_so(x):\n    pass\n")
    monkeypatch.setattr(chapters, "root", lambda: tmp_path)
    return tmp_path


def written(book, pointer, text=ENTRY):
    (book / "book/claims.yaml").write_text(f"{text}    {pointer}\n")
    return ledger.table().loc["one"]


def verdicts(book, sweep="s", **claims):
    lines = {
        name: SAID | {"says": name, "because": "", "family": ""} | more
        for name, more in claims.items()
    }
    frame = pd.DataFrame.from_dict(lines, orient="index").rename_axis("claim")
    frame.to_csv(book / f"notebooks/sweeps/{sweep}.claims.csv")
    assert list(read_verdicts(book / f"notebooks/sweeps/{sweep}.claims.csv").index) == list(claims)


def test_a_claim_has_its_verdict_and_numbers(book):
    verdicts(book, x={})
    found = written(book, "claim: s/x")
    assert found[["verdict", "a − b", "n", "kind"]].tolist() == [
        "holds",
        "+1.00 [+0.50, +1.50]",
        "5",
        "confirmatory",
    ]
    assert found[["data", "device", "commit", "where"]].tolist() == [
        "digits",
        "cpu",
        "012345678",
        "s",
    ]


@pytest.mark.parametrize(
    ("others", "verdict", "counts"),
    [
        ("holds", "holds", "holds 3"),
        ("fails", "holds in some", "fails 2, holds 1"),
        ("undecided", "holds in some", "undecided 2, holds 1"),
    ],
)
def test_several_claims_are_counted(book, others, verdict, counts):
    verdicts(book, "s", x1={}, y={})
    verdicts(
        book,
        "s2",
        x1={"verdict": others, "a − b": -1.0, "n": 8},
        x2={"verdict": others, "kind": "exploratory"},
    )
    found = written(book, "claim: s*/x*")
    assert (found["verdict"], found["counts"]) == (verdict, counts)
    assert found[["a − b", "n", "kind", "where"]].tolist() == [
        "-1.000 to +1.000",
        "5–8",
        "exploratory",
        "s, s2",
    ]


def test_claims_may_be_listed(book):
    verdicts(book, x={}, y={"verdict": "fails"}, z={"verdict": "undecided"})
    found = written(book, "claim: [s/x, s/z]")
    assert found["counts"] == "holds 1, undecided 1"
    with pytest.raises(ValueError, match="unknown claim of s 'none'"):
        written(book, "claim: [s/x, s/none]")


def test_several_of_which_none_holds(book):
    verdicts(book, x1={"verdict": "fails"}, x2={"verdict": "undecided"})
    assert written(book, "claim: s/x*")["verdict"] == "holds in none"


def test_the_other_pointers(book):
    found = written(book, "theorem: thm-tiny")
    assert (found["verdict"], found["where"]) == ("proved", "tiny")
    found = written(book, "test: tests/test_it.py::test_so")
    assert (found["verdict"], found["where"]) == ("tested", "tests/test_it.py::test_so")
    assert written(book, "untried: tiny")["verdict"] == "not yet tried"
    assert written(book, "untestable: no telescope")["where"] == "no telescope"


@pytest.mark.parametrize(
    ("pointer", "message"),
    [
        ("claim: t/x", "unknown sweep with verdicts 't'"),
        ("claim: s/firts", "unknown claim of s 'firts': did you mean 'first'"),
        ("theorem: thm-tin", "no chapter has a theorem with the label 'thm-tin'"),
        ("test: tests/test_it.py::test_s", "there is no test tests/test_it.py::test_s"),
        ("test: tests/test_no.py::test_so", "there is no test"),
        ("test: tests/test_it.py", "there is no test"),
        ("tried: tiny", r"tried: Extra inputs"),
        ("theorem: thm-tiny\n    untried: tiny", "expected one of claim, .*, not theorem, untried"),
        ("theorem: ''", "expected one of claim, .*, not none"),
    ],
)
def test_what_leads_nowhere_is_told(book, pointer, message):
    verdicts(book, first={})
    with pytest.raises(ValueError, match=rf"claims\.yaml: one: {message}"):
        written(book, pointer)


def test_an_unknown_source_and_an_empty_ledger_are_told(book):
    with pytest.raises(ValueError, match="one: unknown source 'one2002': did you mean 'one2001'"):
        written(book, "untried: tiny", ENTRY.replace("2001", "2002"))
    (book / "book/claims.yaml").write_text("claim: {}\n")
    with pytest.raises(ValueError, match="expected `claims:`"):
        ledger.read()
