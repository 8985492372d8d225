"""Readers of grids whose images are files of a tar, each named after its factors."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mdlib.data import decode
from mdlib.data.base import CorruptData
from mdlib.data.decode import Pieces

if TYPE_CHECKING:
    from mdlib.data.grids import GridFile

# Polar angle from the zenith, and the azimuths seen there: 41 points of a hemisphere, in degrees.
_RING = (0, 22, 45, 68, 90, 112, 135, 158, 180, 202, 225, 248, 270, 292, 315, 338)
_SEEN = {0: (0,), 22: (0, 90, 180, 270), 35: (45, 135, 225, 315), 45: (0, 90, 180, 270),
         66: (27, 63, 117, 153, 207, 243, 297, 333), 68: (0, 90, 180, 270), 90: _RING}  # fmt: skip
ETH80_VIEWS = tuple((polar, azimuth) for polar, seen in _SEEN.items() for azimuth in seen)
_TURNED = {  # by the number of channels
    3: re.compile(r"(\d+)/(\d+)/[a-z]+\d+-(\d{3})-(\d{3})\.(?:jpg|png)"),
    1: re.compile(r"(\d+)/(\d+)/maps/[a-z]+\d+-(\d{3})-(\d{3})-map\.(?:jpg|png)"),
}
ANGLES, LIGHTS = range(-40, 44, 3), range(60, 148, 3)  # in units of 0.9°
_DRAWN = re.compile(r"(?:train|test)/a_(-?\d+)_(\d+)_\d+_\d+\.png")


def pendulum(source: GridFile, path: Path) -> Pieces:
    """One PNG an image, named after its angles."""

    def place(angle: int, light: int) -> tuple[int, ...]:
        return ANGLES.index(angle), LIGHTS.index(light)

    return _pieces(source, path, _DRAWN, place, "has angles that are not on the grid")


def eth80(source: GridFile, path: Path) -> Pieces:
    """JPEG photographs and, one channel, PNG masks; folders number the objects."""

    def place(category: int, number: int, polar: int, azimuth: int) -> tuple[int, ...]:
        categories, objects = range(1, len(source.class_names) + 1), range(1, 11)
        view = ETH80_VIEWS.index((polar, azimuth))
        return categories.index(category), objects.index(number), view

    wrong = "is not of the 8 categories, 10 objects and 41 views"
    return _pieces(source, path, _TURNED[source.image_shape[0]], place, wrong)


def _pieces(
    source: GridFile,
    path: Path,
    named: re.Pattern[str],
    place: Callable[..., tuple[int, ...]],
    wrong: str,
) -> Pieces:
    """Row and image of each file whose name is so `named`; `place` has its factors by the numbers
    in the name, or a ValueError, which CorruptData tells as `wrong`."""
    from PIL import Image

    channels, height, width = source.image_shape
    shape, mode = ((height, width), "L") if channels == 1 else ((height, width, channels), "RGB")
    seen = set()
    for found, file in decode.tar_files(path, named):
        what = f"{found[0]} in {path}"
        try:
            row = int(source.grid.index_of(place(*map(int, found.groups()))))
        except ValueError:
            raise CorruptData(f"{source.name}: {what} {wrong}") from None
        with decode.readable(source.name, what):
            pixels = np.asarray(Image.open(file).convert(mode))
        decode.need_array(f"{source.name}: {what}", pixels, shape)
        seen.add(row)
        yield np.array([row]), np.atleast_3d(pixels).transpose(2, 0, 1)[None]
    if len(seen) != len(source.grid):
        raise CorruptData(
            f"{source.name}: {path} holds {len(seen)} images, expected {len(source.grid)}"
        )
