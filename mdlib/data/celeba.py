"""CelebA: faces with forty attributes, read through torchvision."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import torch

from mdlib.data import decode, files
from mdlib.data.base import CorruptData, Dataset, Facts, Source

_FOLDER = "celeba"  # torchvision's CelebA.base_folder
_IMAGES = "celeba/img_align_celeba"
_CLASS_NAMES = ("not Male", "Male")
_CROP, _SIZE = 148, 64  # the centre that is kept, and the side it is shrunk to


class CelebA(Source):
    """202 599 aligned RGB faces: the central 148×148, shrunk to 64×64 (or `size`).

    Splits: train, valid, test as published, all. `factors` are the 40 binary attributes, in the
    order of ``list_attr_celeba.txt``; `labels` are the attribute Male. The text files are verified
    by torchvision's MD5 list, and every image they name must be there. Decoding takes minutes, so
    its result is kept in the cache folder and memory-mapped from there: 12 kB an image, read from
    disk as it is used.

    Source: Z. Liu, P. Luo, X. Wang, X. Tang, Deep learning face attributes in the wild, ICCV 2015.
    """

    name = "celeba"
    title = "CelebA"
    place = _FOLDER
    splits = ("train", "valid", "test", "all")
    how = (
        'load("celeba", download=True) (needs the package gdown, and Google Drive often refuses),'
        " or fetch img_align_celeba.zip and the five *.txt files from"
        f" mmlab.ie.cuhk.edu.hk/projects/CelebA.html into ROOT/{_FOLDER} and unzip"
    )

    def verify(self, root: Path, quick: bool = False) -> None:
        if not (root / _FOLDER).is_dir():  # without torchvision, which takes a second to import
            raise FileNotFoundError(f"{self.name}: {root / _FOLDER} is missing: {files.WHERE}")
        files.verify_all(self.name, _texts(), root, quick)
        if not (root / _IMAGES).is_dir():
            raise FileNotFoundError(f"{self.name}: {root / _IMAGES} is missing: {files.WHERE}")
        sizes = _sizes(root)
        lines = (root / _FOLDER / "list_eval_partition.txt").read_text().splitlines()
        for name in [line.split()[0] for line in lines if line.strip()]:  # all images
            if not sizes.get(name):
                path, state = root / _IMAGES / name, "empty" if name in sizes else "missing"
                error = CorruptData if name in sizes else FileNotFoundError
                raise error(f"{self.name}: {path} is {state}: unzip img_align_celeba.zip again")

    def download(self, root: Path) -> None:
        from torchvision.datasets import CelebA

        CelebA(root, download=True)

    def describe(self, root: Path, size: int | None) -> Facts:
        from torchvision.datasets import CelebA

        counts = []
        for split in ("train", "test"):
            listed = CelebA(root, split=split, target_type="attr")  # a table; no image is opened
            counts.append(listed.attr[:, listed.attr_names.index("Male")].bincount(minlength=2))
        return self._facts(
            (3, size or _SIZE, size or _SIZE), _CLASS_NAMES, *(count.tolist() for count in counts)
        )

    def read(self, split: str, root: Path, size: int | None) -> Dataset:
        from torchvision.datasets import CelebA

        listed = CelebA(root, split=split, target_type="attr")
        names = tuple(filter(None, listed.attr_names))  # the header line ends in a space
        factors = listed.attr.long()
        images = _pixels(root, split, list(listed.filename), size or _SIZE)
        known = {"factors": factors, "factor_names": names, "factor_sizes": (2,) * len(names)}
        labels = factors[:, names.index("Male")].clone()
        return self._dataset(split, images, labels, _CLASS_NAMES, **known)


def _texts() -> list[files.File]:
    from torchvision.datasets import CelebA

    return [
        files.File(f"{_FOLDER}/{name}", md5, algorithm="md5")
        for _, md5, name in CelebA.file_list
        if name.endswith(".txt")
    ]


def _sizes(root: Path) -> dict[str, int]:
    with os.scandir(root / _IMAGES) as entries:
        return {entry.name: entry.stat().st_size for entry in entries if os.path.isfile(entry)}


def _pixels(root: Path, split: str, names: list[str], size: int) -> torch.Tensor:
    """uint8 [N, 3, size, size], memory-mapped from the cache, which is made if it is not there."""
    sizes = _sizes(root)
    content = hashlib.sha256("\n".join(f"{name} {sizes[name]}" for name in names).encode())
    cache = files.cache_folder() / f"celeba-{split}-{size}-{content.hexdigest()}.npy"

    def face(name: str) -> np.ndarray:
        from PIL import Image

        path = root / _IMAGES / name
        with decode.readable("celeba", path), Image.open(path) as image:
            left, top = (image.width - _CROP) // 2, (image.height - _CROP) // 2
            if left < 0 or top < 0:
                raise CorruptData(f"celeba: {path} is {image.size}, smaller than {_CROP} pixels")
            square = image.convert("RGB").crop((left, top, left + _CROP, top + _CROP))
            square = square.resize((size, size), Image.Resampling.BILINEAR)
            return np.asarray(square).transpose(2, 0, 1)

    def fill(array: np.ndarray) -> None:
        for row, pixels in enumerate(decode.threaded(face, names)):
            array[row] = pixels

    return decode.kept("celeba", cache, (len(names), 3, size, size), fill)
