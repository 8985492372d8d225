"""MPI3D: a robot arm that holds an object, 64×64: drawn simply, drawn well, and photographed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mdlib.data import files, npz
from mdlib.data.grid import Grid
from mdlib.data.gridfile import ROWS, GridFile

_FACTORS = {
    "object_color": 6,
    "object_shape": 6,
    "object_size": 2,
    "camera_height": 3,
    "background_color": 3,
    "horizontal_axis": 40,
    "vertical_axis": 40,
}
_URL = "https://huggingface.co/datasets/waleedgondal/mpi3d/resolve/main"


class MPI3D(GridFile):
    """1 036 800 images [3, 64, 64], every combination of seven factors. Labels: the object's shape.

    That is 12.7 GB. Split ``all`` in its own size is mapped from the file itself, if the images are
    stored uncompressed in it (channels last, so the tensor is strided); every other split and size
    is decoded into the cache folder first. Each load takes the time of the file's checksum.

    Source: M. W. Gondal et al., On the transfer of inductive bias from simulation to the real
    world: a new disentanglement dataset, NeurIPS 2019, arXiv:1906.03292,
    github.com/rr-learning/disentanglement_dataset (CC BY 4.0). The MD5 are those which the loaders
    of github.com/nmichlo/disent check; its files came from an address that is no longer given.
    """

    label = "object_shape"
    class_names = ("cone", "cube", "cylinder", "hexagonal", "pyramid", "sphere")
    image_shape = (3, 64, 64)

    def __init__(self, kind: str, md5: str):
        self.name, self.title = f"mpi3d-{kind}", f"MPI3D {kind}"
        self.grid = Grid(self.name, tuple(_FACTORS), tuple(_FACTORS.values()))
        self.file = files.File(f"mpi3d/mpi3d_{kind}.npz", md5, algorithm="md5")
        self.url = f"{_URL}/mpi3d_{kind}.npz"
        self.how = (
            f'load("{self.name}", download=True), or put mpi3d_{kind}.npz'
            " (huggingface.co/datasets/waleedgondal/mpi3d) into ROOT/mpi3d"
        )

    def images(self, split: str, root: Path, size: int | None) -> Tensor:
        if split == "all" and size in (None, self.image_shape[1]):
            stored = npz.mapped(root / self.file.path, "images", self._shape)
            if stored is not None:
                return torch.from_numpy(stored).permute(0, 3, 1, 2)
        return super().images(split, root, size)

    def pieces(self, path: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for rows, images in npz.pieces(path, "images", self._shape, ROWS):
            yield rows, images.transpose(0, 3, 1, 2)

    @property
    def _shape(self) -> tuple[int, ...]:
        channels, height, width = self.image_shape
        return (len(self.grid), height, width, channels)


MPI3D_TOY = MPI3D("toy", "55889cb7c7dfc655d6e0277beee88868")
MPI3D_REALISTIC = MPI3D("realistic", "59a6225b88b635365f70c91b3e52f70f")
MPI3D_REAL = MPI3D("real", "0f33f609918fb5c97996692f91129802")
