"""CIFAR-10, from torchvision's folder of batches or from a tar file of images."""

from __future__ import annotations

import io
import re
import tarfile
import warnings
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mdlib.data import decode, files
from mdlib.data.base import CorruptData, Dataset, Facts, Source
from mdlib.io import atomic_write, sha256

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
PER_CLASS = {"train": 5000, "test": 1000}

BATCHES = "cifar-10-batches-py"
# The file that we know: 60 000 JPEG files, of which size and checksum are verified …
JPEG_TAR = files.File(
    "cifar10-jpeg.tar.gz",
    "1f9c7c99d72b38b0b53cc01a7c581874554733782be5c8d7829e653aa97d3908",
    19_214_352,
)
# … and one that readers may pack themselves (JPEG or PNG): no checksum can be known for it, but
# names, counts and sizes of its images are verified all the same, while it is decoded.
_OWN_TARS = ("cifar10.tar.gz", "cifar10.tar")
_MEMBER = re.compile(r"(?:\./)?cifar10/(train|test)/(\w+)/([\w-]+)\.(?:jpe?g|png)")
_LARGEST = 1 << 20  # bytes; an image of 32×32 has a few thousand at most


class Cifar10(Source):
    """50 000 + 10 000 RGB images of 32×32 in ten classes. "all" is train, then test.

    Looked for in this order: ``ROOT/cifar-10-batches-py/`` (torchvision's; its batches are pickles,
    opened only once torchvision's MD5 list has verified every one), ``ROOT/cifar10-jpeg.tar.gz``,
    ``ROOT/cifar10.tar.gz``, ``ROOT/cifar10.tar``. A tar file has members
    ``cifar10/{train,test}/CLASS/NAME.jpg``; they are decoded in memory, nothing is unpacked, and
    all other members are passed over. Rows from a tar are sorted by class, then by file name. What
    was decoded is kept in the cache folder under the tar's checksum.

    Source: A. Krizhevsky, Learning multiple layers of features from tiny images, 2009.
    """

    name = "cifar10"
    title = "CIFAR-10"
    how = (
        'load("cifar10", download=True), or unpack cifar-10-python.tar.gz'
        f" (www.cs.toronto.edu/~kriz/cifar.html) into ROOT, or put {JPEG_TAR.path} there"
    )

    def verify(self, root: Path, quick: bool = False) -> None:
        found = _found(root)
        if found.name == BATCHES:
            files.verify_all(self.name, _batches(), root, quick)
        elif found.name == JPEG_TAR.path:
            JPEG_TAR.verify(self.name, root, quick)

    def where(self, root: Path) -> str:
        return str(_found(root))

    def download(self, root: Path) -> None:
        from torchvision.datasets import CIFAR10

        CIFAR10(root, download=True)

    def describe(self, root: Path, size: int | None) -> Facts:
        counts = ([PER_CLASS[part]] * len(CLASSES) for part in ("train", "test"))
        return self._facts((3, size or 32, size or 32), CLASSES, *counts)

    def read(self, split: str, root: Path, size: int | None) -> Dataset:
        parts = ["train", "test"] if split == "all" else [split]
        found, title = _found(root), self.title
        if found.name == BATCHES:
            arrays = [_unpickled(root, part) for part in parts]
        else:
            title = f"{title} ({'JPEG' if found.name == JPEG_TAR.path else found.name})"
            arrays = _decoded(found, parts)
        images = torch.from_numpy(np.concatenate([images for images, _ in arrays]))
        labels = torch.from_numpy(np.concatenate([labels for _, labels in arrays])).long()
        images = images.permute(0, 3, 1, 2).contiguous()
        return replace(self._dataset(split, images, labels, CLASSES), title=title)


def _batches() -> list[files.File]:
    from torchvision.datasets import CIFAR10

    listed = CIFAR10.train_list + CIFAR10.test_list
    listed = [*listed, (CIFAR10.meta["filename"], CIFAR10.meta["md5"])]
    return [files.File(f"{BATCHES}/{file}", md5, algorithm="md5") for file, md5 in listed]


def _found(root: Path) -> Path:
    for name in (BATCHES, JPEG_TAR.path, *_OWN_TARS):
        if (root / name).exists():
            return root / name
    raise FileNotFoundError(
        f"cifar10: neither {root / BATCHES} nor {root / JPEG_TAR.path} is there: {files.WHERE}"
    )


def _unpickled(root: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """(images uint8 [N, 32, 32, 3], labels int64 [N]) from batches that have been verified."""
    from torchvision.datasets import CIFAR10

    with warnings.catch_warnings():
        # The pickles are as old as Python 2, of which NumPy 2.4.0 to 2.4.4 warns.
        warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)
        batches = CIFAR10(root, train=part == "train")
    return batches.data, np.array(batches.targets, dtype=np.int64)


def _decoded(tar: Path, parts: list[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(images uint8 [N, 32, 32, 3], labels int64 [N]) a part, from the cache if they are there."""
    cache = files.cache_folder() / f"cifar10-{sha256(tar)}.npz"
    try:
        # The file is a zip, which checks its own content.
        with open(cache, "rb") as file, np.load(file, allow_pickle=False) as kept:
            return [(kept[f"{part}_images"], kept[f"{part}_labels"]) for part in parts]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        pass  # not there, or damaged: decode anew
    arrays = {}
    members = _members(tar)
    for part, per_class in PER_CLASS.items():
        keys = sorted(key for key in members if key[0] == part)
        labels = np.array([CLASSES.index(key[1]) for key in keys], dtype=np.int64)
        for label, count in enumerate(np.bincount(labels, minlength=len(CLASSES))):
            if count != per_class:
                raise CorruptData(
                    f"cifar10: {tar} has {count} images in cifar10/{part}/{CLASSES[label]},"
                    f" expected {per_class}"
                )
        images = np.empty((len(keys), 32, 32, 3), dtype=np.uint8)
        for row, key in enumerate(keys):  # no threads: on images this small they save nothing
            images[row] = _pixels(tar, key, members[key])
        arrays |= {f"{part}_images": images, f"{part}_labels": labels}
    try:
        with atomic_write(cache) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)
    except OSError as error:  # a full or read-only disk: the data are good all the same
        warnings.warn(f"cifar10: cannot keep the decoded images in {cache}: {error}", stacklevel=2)
    return [(arrays[f"{part}_images"], arrays[f"{part}_labels"]) for part in parts]


def _members(tar: Path) -> dict[tuple[str, str, str], bytes]:
    """The encoded images by (split, class, file name without its ending)."""
    members = {}
    try:
        for match, file in decode.tar_files(tar, _MEMBER, "r|*"):
            key = match[1], match[2], match[3]
            if key[1] not in CLASSES:
                continue
            content = file.read(_LARGEST + 1)
            if len(content) > _LARGEST or key in members:
                problem = "too large" if len(content) > _LARGEST else "there twice"
                raise CorruptData(f"cifar10: in {tar} the member {match[0]} is {problem}")
            members[key] = content
    except (CorruptData, PermissionError):
        raise
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise CorruptData(f"cifar10: {tar} is not a whole tar file: {error}") from error
    return members


def _pixels(tar: Path, key: tuple[str, str, str], encoded: bytes) -> np.ndarray:
    from PIL import Image

    what = f"cifar10/{'/'.join(key)} in {tar}"
    with (
        decode.readable("cifar10", what),
        Image.open(io.BytesIO(encoded), formats=("JPEG", "PNG")) as image,
    ):
        if image.size != (32, 32):  # known from the header, before anything is decoded
            raise CorruptData(f"cifar10: {what} has the size {image.size}, expected (32, 32)")
        return np.asarray(image.convert("RGB"))
