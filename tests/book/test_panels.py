"""book/panels.py: which parts of a figure keep their colours on a dark page."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book"))
panels = import_module("panels")


def figure(*boxes, of):
    """White paper [200, 400] with what `of` makes of (height, width) in each box."""
    grey = np.full((200, 400), 255, np.uint8)
    for left, top, right, bottom in boxes:
        grey[top:bottom, left:right] = of((bottom - top, right - left))
    return grey


def photograph(shape):
    return np.random.default_rng(0).integers(0, 256, shape)


def axes(shape):
    """A frame, a band and a curve."""
    grey = np.full(shape, 255)
    grey[:, shape[1] // 2 :] = 235
    grey[[0, -1]] = grey[:, [0, -1]] = 0
    np.fill_diagonal(grey, 90)
    return grey


GRID = [(x, y, x + 80, y + 80) for x in (20, 120, 220) for y in (10, 110)]


@pytest.mark.parametrize(("of", "found"), [(photograph, GRID), (axes, [])])
def test_photographs_are_kept_and_plots_are_not(of, found):
    assert panels.pictures(figure(*GRID, of=of)) == found


def test_a_picture_of_white_edges_among_others_is_kept_whole():
    grey = figure(*GRID, of=photograph)
    left, top, right, bottom = GRID[3]
    grey[top:bottom, left:right] = 255
    grey[top + 20 : bottom - 20, left + 20 : right - 20] = 0
    assert panels.pictures(grey) == GRID


def test_what_lies_in_an_empty_place_of_a_grid_is_paper():
    assert panels.pictures(figure(*GRID[1:], of=photograph)) == GRID[1:]


def test_paper_is_white_at_its_edge():
    assert panels.on_paper(figure(*GRID, of=photograph))
    assert not panels.on_paper(photograph((50, 50)))


def test_a_polygon_goes_back_to_its_corner_after_each_box():
    grey = np.full((200, 400), 255, np.uint8)
    found = panels.clip(grey, [(40, 50, 200, 100)])
    corners = ["10% 25%", "50% 25%", "50% 50%", "10% 50%", "10% 25%"]
    assert found == f"polygon(0 0, {', '.join(corners)}, 0 0)"
