"""Every work that is cited has an entry, and every entry says where to find the work."""

import re
from pathlib import Path

import pytest
from pybtex.database import parse_file

from mdlib.methods import REGISTRY

ROOT = Path(__file__).resolve().parents[2]
NO_PAPER = {"supervised"}  # cross-entropy on labels
NOT_ONLINE = {"miller1955bias"}  # a chapter of a book of 1955
ARXIV = re.compile(
    r"arxiv(?:\.org/(?:abs|pdf)/|[: ]+)((?:cond-mat/)?\d{4}\.?\d{3,5})", re.IGNORECASE
)
CITING = [
    ROOT / "README.md",
    *(path for folder in ("mdlib", "notebooks") for path in sorted((ROOT / folder).rglob("*.py"))),
    *sorted((ROOT / "book").glob("*.md")),
]


@pytest.fixture(scope="module")
def works():
    return parse_file(ROOT / "book" / "references.bib").entries


def test_every_arxiv_id_that_is_named_has_an_entry(works):
    known = {work.fields.get("eprint") for work in works.values()}
    named = {
        (number, path.relative_to(ROOT).as_posix())
        for path in CITING
        for number in ARXIV.findall(path.read_text(encoding="utf-8"))
    }
    assert len(named) > 50
    assert not sorted((n, path) for n, path in named if n not in known)


def test_every_method_has_an_entry(works):
    described = {
        method for work in works.values() for method in work.fields.get("keywords", "").split(", ")
    }
    assert described - {""} == REGISTRY.keys() - NO_PAPER


def test_every_entry_says_where_to_find_the_work(works):
    lost = {k for k, work in works.items() if not {"doi", "eprint", "url"} & work.fields.keys()}
    assert lost == NOT_ONLINE


def test_ids_are_recognised():
    text = "arXiv:1807.03748, (https://arxiv.org/abs/0809.0853), arXiv 2306.11078, cond-mat/0305641"
    assert ARXIV.findall(text) == ["1807.03748", "0809.0853", "2306.11078"]
    assert ARXIV.findall("arXiv:cond-mat/0305641") == ["cond-mat/0305641"]
