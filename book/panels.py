"""Where a figure shows pictures: on a dark page they keep their colours, and the paper turns dark.

A figure comes as one PNG on white paper. Of its patches, a plot's panel is mostly light within its
frame, a photograph, a digit or a cell of a heat map is not.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

WHITE = 250  # and more is paper, of 255
LIGHT = 225  # and more: paper, grids and bands of a plot
SIDE = 24  # pixels of a panel, at least: letters are smaller
PAPER = 0.75  # share of paper, from which on a figure is a plot and nothing else

Box = tuple[int, int, int, int]  # left, top, right, bottom, in pixels


def greys(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB").convert("L"))


def on_paper(grey: NDArray[np.uint8]) -> bool:
    """Is there white around it?"""
    edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    return bool((edge >= WHITE).mean() > 0.5)


def pictures(grey: NDArray[np.uint8]) -> list[Box]:
    """The boxes of a figure [height, width] that keep their colours."""
    if (grey >= WHITE).mean() >= PAPER:
        return []
    marks, _ = ndimage.label(ndimage.binary_fill_holes(grey < WHITE))
    sizes: dict[tuple[int, int], list[Box]] = {}
    for n, (rows, columns) in enumerate(ndimage.find_objects(marks), 1):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if min(height, width) >= SIDE and (marks[rows, columns] == n).mean() > 0.55:
            alike = next((s for s in sizes if abs(np.subtract(s, (height, width))).max() < 3), None)
            box = (columns.start, rows.start, columns.stop, rows.stop)
            sizes.setdefault(alike or (height, width), []).append(box)
    found: list[Box] = []
    for boxes in sizes.values():
        # Panels of one size are of one kind: one white photograph among many is none the less one.
        if np.median([(cut(grey, box) >= LIGHT).mean() for box in boxes]) < 0.5:
            found += grid(grey, boxes)
    return [a for a in found if not any(a != b and inside(a, b) for b in found)]


def grid(grey: NDArray[np.uint8], boxes: list[Box]) -> list[Box]:
    """With those panels of a grid whose edges are as white as the paper."""
    xs, ys = ({(b[i], b[i + 2]) for b in boxes} for i in (0, 1))
    if len(boxes) < 4:
        return boxes
    every = [(x[0], y[0], x[1], y[1]) for x in apart(xs) for y in apart(ys)]
    return [box for box in every if (cut(grey, box) < WHITE).any()]


def apart(spans: set[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans that overlap are one: panels' edges differ by a pixel."""
    found: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if found and start < (found[-1][0] + found[-1][1]) / 2:
            found[-1] = (found[-1][0], max(stop, found[-1][1]))
        else:
            found.append((start, stop))
    return found


def cut(grey: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    left, top, right, bottom = box
    return grey[top:bottom, left:right]


def inside(a: Box, b: Box) -> bool:
    return a[0] >= b[0] and a[1] >= b[1] and a[2] <= b[2] and a[3] <= b[3]


def clip(grey: NDArray[np.uint8], boxes: list[Box]) -> str:
    """A CSS polygon of boxes: from the corner to each, around it, and back."""
    size = np.array(grey.shape[::-1])
    points = ["0 0"]
    for left, top, right, bottom in boxes:
        for x, y in ((left, top), (right, top), (right, bottom), (left, bottom), (left, top)):
            points.append(" ".join(f"{share:.4g}%" for share in 100 * np.array([x, y]) / size))
        points.append("0 0")
    return f"polygon({', '.join(points)})"
