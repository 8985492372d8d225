"""Real data sets whose one file holds every combination of their factors once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mdlib.data import decode, files
from mdlib.data.grid import GridSource

ROWS = 1024  # images at once, while a file is decoded


class GridFile(GridSource):
    """A whole grid in one file, too large to decode at every start.

    What is decoded (and resized) is kept in the cache folder, a file for each split and size, and
    memory-mapped from there: it takes disk space, but no more memory than what is used of it.
    The published files have no test part: train and test are a fixed random 80/20 of the rows.
    """

    file: files.File
    url: str  # from where it can be fetched directly
    image_shape: tuple[int, int, int]  # [C, H, W] in the file; H = W

    def verify(self, root: Path, quick: bool = False) -> None:
        self.file.verify(self.name, root, quick)

    def where(self, root: Path) -> str:
        return str(root / self.file.path)

    def download(self, root: Path) -> None:
        files.download(self.url, root / self.file.path)

    def pieces(self, path: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All images of the file: rows of the grid, int [n], and uint8 [n, C, H, W], in pieces."""
        raise NotImplementedError

    def images(self, split: str, root: Path, size: int | None) -> Tensor:
        channels, side, _ = self.image_shape
        size = size or side
        rows = self.grid.rows(split)
        place = np.full(len(self.grid), -1)  # of each row of the grid within the split
        place[rows] = np.arange(len(rows))

        def fill(array: np.ndarray) -> None:
            for numbers, images in self.pieces(root / self.file.path):
                to = place[numbers]
                pixels = torch.from_numpy(images[to >= 0])
                array[to[to >= 0]] = (
                    pixels if size == side else decode.resized(self.name, pixels, size)
                )

        cache = files.cache_folder() / f"{self.name}-{split}-{size}-{self.file.digest}.npy"
        return decode.kept(self.name, cache, (len(rows), channels, size, size), fill)
