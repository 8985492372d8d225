"""ARCHITECTURE.md, README.md and the contract in pyproject.toml name the same modules."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONTRACT = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
FLOORS = [re.split(r" [:|] ", layer) for layer in CONTRACT["contracts"][0]["layers"]]


def first_column(text, column):
    """The module names in a column of each table row, row by row."""
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| ")]
    return [re.findall(r"`(\w+)`", row[column]) for row in rows]


def test_the_floors_are_those_of_the_contract():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    table = text[text.index("## The floors") : text.index("## Where a change")]
    floors = [names for names in first_column(table, 1) if names]
    assert [sorted(floor) for floor in floors] == [sorted(floor) for floor in FLOORS]


def test_the_contract_names_what_there_is():
    names = {p.stem for p in (ROOT / "mdlib").iterdir() if p.suffix in ("", ".py")}
    names -= {"__init__", "__pycache__", "py"}
    assert names == {name for floor in FLOORS for name in floor}


def test_readme_names_every_module():
    text = (ROOT / "README.md").read_text()
    table = text[text.index("| module |") : text.index("## Data")]
    named = {name for names in first_column(table, 0) for name in names}
    assert named == {name for floor in FLOORS for name in floor}


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_the_paths_that_a_contributor_is_sent_to_exist(name):
    text = (ROOT / name).read_text()
    paths = set(re.findall(r"`((?:\w+/)+(?:\w+\.\w+)?)`", text))
    assert len(paths) > 10
    rooms = [ROOT, ROOT / "mdlib", ROOT / "notebooks", ROOT / "tests"]
    meant = {path for path in paths if "NAME" not in path}
    assert {path for path in meant if not any((room / path).exists() for room in rooms)} == set()


def test_no_module_is_too_long():
    """A module that passes about 350 lines is asking to be two; at 400 it is told to."""
    long = {p: len(p.read_text().splitlines()) for p in (ROOT / "mdlib").rglob("*.py")}
    assert {str(p): n for p, n in long.items() if n > 400} == {}
