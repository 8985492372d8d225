"""dSprites: white shapes on black, 64×64."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from mdlib.data import files, npz
from mdlib.data.base import CorruptData
from mdlib.data.grid import Grid
from mdlib.data.gridfile import ROWS, GridFile

_NAME = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
_REPOSITORY = "google-deepmind/dsprites-dataset"


class DSprites(GridFile):
    """737 280 images [1, 64, 64], values 0 and 255: every combination of five factors.

    The sixth factor of the file, colour, has one value and is left out. Orientations run over the
    whole circle, so those of a square repeat four times and those of an ellipse twice: no code can
    tell them all apart. The file's metadata are a pickle; they are never opened.

    Source: L. Matthey, I. Higgins, D. Hassabis, A. Lerchner, dSprites: disentanglement testing
    sprites dataset, 2017, github.com/google-deepmind/dsprites-dataset (Apache 2.0). It publishes no
    checksum; this MD5 is the one that loaders of other projects check it by.
    """

    name = "dsprites"
    title = "dSprites"
    grid = Grid(name, ("shape", "scale", "orientation", "x", "y"), (3, 6, 40, 32, 32))
    label, class_names = "shape", ("square", "ellipse", "heart")
    image_shape = (1, 64, 64)
    file = files.File(f"dsprites/{_NAME}", "7da33b31b13a06f4b04a70402ce90c2e", algorithm="md5")
    url = f"https://raw.githubusercontent.com/{_REPOSITORY}/master/{_NAME}"
    how = (
        f'load("{name}", download=True),'
        f" or put {_NAME} (github.com/{_REPOSITORY}) into ROOT/dsprites"
    )

    def pieces(self, path: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        with np.load(path, allow_pickle=False) as file:  # reads an array when it is asked for
            classes = file["latents_classes"][:, 1:]
        grid = self.grid.factors_of(torch.arange(len(self.grid))).numpy()
        if not np.array_equal(classes, grid):
            raise CorruptData(f"{self.name}: {path}: latents_classes is not the grid in order")
        shape = (len(self.grid), *self.image_shape[1:])
        for rows, images in npz.pieces(path, "imgs", shape, ROWS):
            yield rows, images[:, None] * np.uint8(255)
