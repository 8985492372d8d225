"""Cars3D: renderings of car models, 128×128."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mdlib.data import files
from mdlib.data.base import CorruptData
from mdlib.data.grid import Grid
from mdlib.data.gridfile import GridFile

_NAME = "nips2015-analogy-data.tar.gz"
_CARS = 183
_MEMBER = re.compile(r"(?:\./)?data/cars/(\w+)\.mat")


class Cars3D(GridFile):
    """17 568 images [3, 128, 128]: 183 cars from 4 elevations and 24 azimuths. Labels: the cars.

    Cars are numbered in the order of their files' names. The tar file holds a MATLAB file a car
    (and other data, passed over); they are decoded in memory, nothing is unpacked.

    Source: S. Reed, Y. Zhang, Y. Zhang, H. Lee, Deep visual analogy-making, NeurIPS 2015. Its host
    publishes no checksum; the MD5 is that of the loaders of github.com/nmichlo/disent.
    """

    name = "cars3d"
    title = "Cars3D"
    grid = Grid(name, ("elevation", "azimuth", "car"), (4, 24, _CARS))
    label, class_names = "car", tuple(f"car {k}" for k in range(_CARS))
    image_shape = (3, 128, 128)
    file = files.File(f"cars3d/{_NAME}", "4e866a7919c1beedf53964e6f7a23686", algorithm="md5")
    url = f"http://www.scottreed.info/files/{_NAME}"
    how = f'load("{name}", download=True), or put {_NAME} (www.scottreed.info) into ROOT/cars3d'

    def pieces(self, path: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        from scipy.io import loadmat

        elevations, azimuths, cars = self.grid.factor_sizes
        channels, height, width = self.image_shape
        shape = (height, width, channels, azimuths, elevations)
        with tarfile.open(path, "r|gz") as tar:  # two passes: a gz file can't be read out of order
            names = sorted(member.name for member in tar if _is_car(member))
        if len(names) != cars:
            raise CorruptData(f"{self.name}: {path} holds {len(names)} cars, expected {cars}")
        with tarfile.open(path, "r|gz") as tar:
            for member in filter(_is_car, tar):
                content = io.BytesIO(tar.extractfile(member).read())
                mesh = loadmat(content, variable_names=["im"])["im"]
                if mesh.shape != shape or mesh.dtype != np.uint8:
                    raise CorruptData(
                        f"{self.name}: {member.name} in {path} is {mesh.dtype} {mesh.shape},"
                        f" expected uint8 {shape}"
                    )
                views = mesh.transpose(4, 3, 2, 0, 1).reshape(-1, channels, height, width)
                yield np.arange(len(views)) * cars + names.index(member.name), views


def _is_car(member: tarfile.TarInfo) -> bool:
    return member.isreg() and _MEMBER.fullmatch(member.name) is not None
