"""ETH-80's photographs with their masks, split by object; `grids` has the file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import torch

from mdlib.checks import check_whole
from mdlib.data.base import Dataset
from mdlib.data.files import data_root
from mdlib.data.grids import GRIDS
from mdlib.data.tars import ETH80_VIEWS
from mdlib.registry import random_stream

# Of the views: all, and those at the object's height, 16 azimuths in order.
ALL, ROUND = slice(None), slice(ETH80_VIEWS.index((90, 0)), None)


def halves(
    seed: int, size: int = 128, views: slice = ALL, root: str | os.PathLike | None = None
) -> tuple[Dataset, Dataset]:
    """Five objects of each category to train on, and the other five to test, dealt by `seed`.

    Args:
        seed: of the deal.
        size: side of the images.
        views: which of the 41 views (`mdlib.data.tars.ETH80_VIEWS`) of each object.
        root: the data root, by default $MDLIB_DATA.
    Returns:
        (train, test), images uint8 [N, 4, size, size], red, green, blue and mask. Rows are sorted
        by category, then, within one, by object, then by view.
    Raises:
        ValueError: size below 1.
        FileNotFoundError, CorruptData: as `mdlib.data.load` for "eth80".
    """
    check_whole(1, size=size)
    photographs, masks = (_whole(name, size, data_root(root)) for name in ("eth80", "eth80-masks"))
    both = replace(photographs, images=torch.cat([photographs.images, masks.images], 1))
    categories, objects, _ = both.factor_sizes
    number = torch.arange(len(both)).view(both.factor_sizes)
    draw = random_stream(seed)
    parts = []
    for category in range(categories):
        mixed = torch.randperm(objects, generator=draw)
        parts.append(number[category, mixed][:, views].chunk(2))
    split = zip(("train", "test"), zip(*parts, strict=True), strict=True)
    train, test = (
        replace(both.subset(torch.cat(rows).flatten()), split=name) for name, rows in split
    )
    return train, test


def _whole(name: str, size: int, root: Path) -> Dataset:
    source = GRIDS[name]
    source.verify(root)
    return source.read("all", root, size)
