"""3D Shapes: one object in a room, 64×64."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mdlib.data import files
from mdlib.data.base import CorruptData
from mdlib.data.grid import Grid
from mdlib.data.gridfile import ROWS, GridFile

_FACTORS = ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")


class Shapes3D(GridFile):
    """480 000 images [3, 64, 64]: every combination of six factors. Labels: the object's shape.

    The file is HDF5, which only the package h5py reads; mdlib doesn't install it.

    Source: C. Burgess and H. Kim, 3D shapes dataset, 2018, github.com/google-deepmind/3d-shapes
    (Apache 2.0).
    """

    name = "shapes3d"
    title = "3D Shapes"
    grid = Grid(name, _FACTORS, (10, 10, 10, 8, 4, 15))
    label, class_names = "shape", ("cube", "cylinder", "sphere", "capsule")
    image_shape = (3, 64, 64)
    file = files.File(
        "shapes3d/3dshapes.h5", "099a2078d58cec4daad0702c55d06868", 267_573_662, algorithm="md5"
    )
    url = "https://storage.googleapis.com/3d-shapes/3dshapes.h5"
    how = (
        f'load("{name}", download=True), or put 3dshapes.h5 (github.com/google-deepmind/3d-shapes)'
        " into ROOT/shapes3d; reading it needs the package h5py: pip install h5py"
    )

    def verify(self, root: Path, quick: bool = False) -> None:
        super().verify(root, quick)
        if find_spec("h5py") is None:
            raise OSError(
                f"{self.name}: {root / self.file.path} is an HDF5 file, which the package h5py"
                " reads: pip install h5py"
            )

    def pieces(self, path: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        import h5py

        channels, height, width = self.image_shape
        shape = (len(self.grid), height, width, channels)
        with h5py.File(path, "r") as file:
            images = file["images"]
            if images.shape != shape or images.dtype != np.uint8:
                raise CorruptData(
                    f"{self.name}: {path}: images is {images.dtype} {images.shape},"
                    f" expected uint8 {shape}"
                )
            # A block of compressed pixels can reach over many images: each is to be read once.
            step = images.chunks[0] if images.chunks else ROWS
            for start in range(0, len(images), step):
                piece = images[start : start + step]
                yield np.arange(start, start + len(piece)), piece.transpose(0, 3, 1, 2)
