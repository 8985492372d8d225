"""Every loss and schedule against released code: the numbers of conformance.yaml."""

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

from mdlib import methods

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book"))
conformance = import_module("conformance")

FILE = conformance.read()
ENTRIES = {entry["id"]: entry for entry in FILE["entries"]}


@pytest.fixture(scope="module")
def compared():
    return conformance.compared().groupby("entry")


@pytest.mark.parametrize("name", ENTRIES)
def test_ours_is_the_released_number(compared, name):
    rows = compared.get_group(name)
    too_far = rows[~(rows["difference"] <= rows["allowed"])]
    assert too_far.empty, f"{ENTRIES[name]['released']}:\n{too_far}"


def test_each_entry_has_our_side_and_each_side_an_entry():
    assert len(ENTRIES) == len(FILE["entries"])
    assert sorted(ENTRIES) == sorted(conformance.OURS)


def test_every_method_is_compared_or_said_why_not():
    there = {entry["method"] for entry in ENTRIES.values()} - {"training"}
    assert not there & FILE["not_compared"].keys()
    assert there | FILE["not_compared"].keys() == set(methods.names())


def test_each_number_names_where_it_is_from():
    for entry in ENTRIES.values():
        source = FILE["sources"][entry["source"]]
        assert re.fullmatch(r"[0-9a-f]{40}", source["commit"])
        assert source["of"] in ("authors", "others")
        assert entry["path"] and entry["released"] and entry["inputs"]
    assert FILE["sources"].keys() == {entry["source"] for entry in ENTRIES.values()}


@pytest.mark.parametrize("name", [name for name in ENTRIES if "release" in ENTRIES[name]])
def test_where_a_release_errs_ours_is_not_its_number(compared, name):
    """So that nobody mends ours until it agrees."""
    entry, rows = ENTRIES[name], compared.get_group(name).set_index("number")
    for number, theirs in entry["release"].items():
        assert abs(rows.loc[number, "ours"] - theirs) > 1e4 * rows.loc[number, "allowed"]
    assert entry["errs"]


def test_inputs_have_full_rank():
    """Else a covariance of them would say little."""
    for code in conformance.views(0.1) + conformance.views(0.17):
        assert conformance.losses.covariance(code.detach()).logdet() > -10


@pytest.mark.parametrize("one", FILE["options"], ids=lambda one: one["option"])
def test_options_of_the_authors_exist_differ_and_are_named(one):
    cls, option = methods.find(one["method"]), one["option"]
    assert methods.options_of(cls)[option] != one["theirs"]
    assert f"`{option}" in cls.__doc__ or option in cls.__doc__.split("\n\n", 1)[0]
    method = conformance.learner(one["method"], **{option: one["theirs"]})
    assert method.options[option] == one["theirs"]
