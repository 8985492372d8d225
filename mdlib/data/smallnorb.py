"""small NORB: photographs of toys under controlled views and light, 96×96."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import torch

from mdlib.data import files
from mdlib.data.base import CorruptData, Dataset, Facts, Source
from mdlib.io import atomic_write

FACTORS = {"category": 5, "instance": 10, "elevation": 9, "azimuth": 18, "lighting": 6}
FOLDER = "smallnorb"
URL = "https://cs.nyu.edu/~ylclab/data/norb-v1.0-small"
_STEMS = {
    "train": "smallnorb-5x46789x9x18x6x2x96x96-training",
    "test": "smallnorb-5x01235x9x18x6x2x96x96-testing",
}
_SIZES = {"dat": 447_897_624, "cat": 97_220, "info": 388_820}  # 24 300 stereo pairs a split
_MD5 = {
    "train": {
        "dat": "8138a0902307b32dfa0025a36dfa45ec",
        "cat": "fd5120d3f770ad57ebe620eb61a0b633",
        "info": "19faee774120001fc7e17980d6960451",
    },
    "test": {
        "dat": "e9920b7f7b2869a8f1a12e945b2c166c",
        "cat": "fd5120d3f770ad57ebe620eb61a0b633",  # the same: in both, categories take turns
        "info": "7c5b871cc69dcadec1bf6a18141f5edc",
    },
}
_TYPES = {0x1E3D4C55: np.dtype("u1"), 0x1E3D4C54: np.dtype("<i4")}  # by a file's first four bytes


class SmallNorb(Source):
    """24 300 + 24 300 grey images [1, 96, 96] of 50 toys in five categories, which are the labels.

    Of each stereo pair the left image. Splits as published: the instances 4, 6, 7, 8, 9 of each
    category are train, 0, 1, 2, 3, 5 test, so no split holds the whole grid of factors; "all" is
    train, then test, and does. Train and test are memory-mapped from the unpacked files, "all" is
    copied into memory (448 MB).

    Source: Y. LeCun, F. J. Huang, L. Bottou, Learning methods for generic object recognition with
    invariance to pose and lighting, CVPR 2004 (for research only). Its page publishes no checksum;
    the MD5 are those which loaders of other projects check the unpacked files by.
    """

    name = "smallnorb"
    title = "small NORB"
    how = (
        f'load("{name}", download=True), or fetch the six *.mat.gz files from'
        f" {URL.removeprefix('https://')} into ROOT/{FOLDER} and gunzip them"
    )
    class_names = ("animal", "human", "airplane", "truck", "car")

    def __init__(self):
        self.files = {
            split: {
                kind: files.File(f"{FOLDER}/{_STEMS[split]}-{kind}.mat", md5, _SIZES[kind], "md5")
                for kind, md5 in _MD5[split].items()
            }
            for split in _STEMS
        }

    def verify(self, root: Path, quick: bool = False) -> None:
        files.verify_all(self.name, self._all_files(), root, quick)

    def where(self, root: Path) -> str:
        return str(root / FOLDER)

    def download(self, root: Path) -> None:
        for file in self._all_files():
            try:
                file.verify(self.name, root)
            except (FileNotFoundError, CorruptData):
                path = root / file.path
                packed = path.with_name(path.name + ".gz")
                files.download(f"{URL}/{packed.name}", packed)
                with (
                    atomic_write(path) as temporary,
                    gzip.open(packed) as source,
                    open(temporary, "wb") as target,
                ):
                    shutil.copyfileobj(source, target)
                packed.unlink()

    def describe(self, root: Path, size: int | None) -> Facts:
        categories = (_matrix(root / self.files[part]["cat"].path) for part in ("train", "test"))
        counts = (np.bincount(part, minlength=5).tolist() for part in categories)
        return self._facts((1, size or 96, size or 96), self.class_names, *counts)

    def read(self, split: str, root: Path, size: int | None) -> Dataset:
        parts = ["train", "test"] if split == "all" else [split]
        images, factors = zip(*(self._read(part, root) for part in parts), strict=True)
        images, factors = (t[0] if len(t) == 1 else torch.cat(t) for t in (images, factors))
        return Dataset(
            name=self.name,
            title=self.title,
            split=split,
            images=images,
            labels=factors[:, 0].clone(),
            class_names=self.class_names,
            factors=factors,
            factor_names=tuple(FACTORS),
            factor_sizes=tuple(FACTORS.values()),
        )

    def _all_files(self) -> list[files.File]:
        return [file for kinds in self.files.values() for file in kinds.values()]

    def _read(self, part: str, root: Path) -> tuple[torch.Tensor, torch.Tensor]:
        """Left images uint8 [N, 1, 96, 96], mapped, and factors int64 [N, 5]."""
        pairs, category, info = (
            _matrix(root / self.files[part][kind].path) for kind in ("dat", "cat", "info")
        )
        factors = np.column_stack([category, info]).astype(np.int64)
        factors[:, 3] //= 2  # azimuths are published in tens of degrees: 0, 2, … 34
        return torch.from_numpy(pairs)[:, :1], torch.from_numpy(factors)


def _matrix(path: Path) -> np.ndarray:
    """A matrix in NORB's binary format, memory-mapped; what is written to it stays in memory.

    Little-endian integers of four bytes: the type, the number of dimensions, the dimensions (never
    fewer than three are written), and then the content.
    """
    with open(path, "rb") as file:
        kind, ndim = np.fromfile(file, "<i4", 2)
        dimensions = np.fromfile(file, "<i4", max(ndim, 3))[:ndim]
        if kind not in _TYPES:
            raise CorruptData(f"{FOLDER}: {path} begins with {kind:#x}: not a matrix of NORB's")
        return np.memmap(path, _TYPES[kind], "c", file.tell(), tuple(dimensions.tolist()))
