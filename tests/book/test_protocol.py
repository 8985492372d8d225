"""The page of how experiments compare: its tables are of the sweeps' files."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book"))
protocol = import_module("protocol")


@pytest.fixture(scope="module")
def page():
    return protocol.page()


def lines(text: str, heading: str) -> dict[str, list[list[str]]]:
    """The cells of a table by its sweep's name; a sweep may have several lines."""
    found: dict[str, list[list[str]]] = {}
    for line in text.partition(heading)[2].partition("\n## ")[0].splitlines():
        if line.startswith("| `"):
            name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
            found.setdefault(name.strip("`"), []).append(cells)
    return found


def test_sweeps_that_hold_out_and_sweeps_with_claims_have_their_line(page):
    folder = ROOT / "notebooks" / "sweeps"
    texts = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.yaml")}
    tuned, claimed = lines(page, "## What was tuned"), lines(page, "## Claims by sweep")
    assert set(tuned) == {name for name, text in texts.items() if "held_out: true" in text}
    assert set(claimed) == {name for name, text in texts.items() if "\nclaims:" in text}
    for name, (cells,) in claimed.items():
        written = texts[name].count("\n    metric:")
        assert sum(int(count or 0) for count in cells[2:4]) == written, name
        assert (cells[4] == "yes") == (folder / f"{name}.csv").is_file()


def test_seeds_inside_a_run_count(page):
    (cells,) = lines(page, "## Claims by sweep")["gallery_sober_look"]
    assert cells[1] == "5–14"  # its runs begin at 5 and 10, five seeds each


def test_spans():
    assert protocol.spans([0, 1, 2, 4, 7, 8]) == "0–2, 4, 7–8"
    assert protocol.spans([3]) == "3"
