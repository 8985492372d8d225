"""RSSCN7: 2 800 scenes seen from above, in seven classes.

Source: Q. Zou, L. Ni, T. Zhang, Q. Wang, Deep learning based feature selection for remote sensing
scene classification, IEEE Geoscience and Remote Sensing Letters, 2015; pictures of
github.com/palewithout/RSSCN7 at 6d77849df87d, resized from 400 to 96 pixels (JPEG). No licence is
stated there: to learn from them is one thing, to publish them another. No figure of this book shows
one.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import torch

from mdlib.data import decode, files
from mdlib.data.base import CorruptData, Dataset, Facts, Source, stratified

_FOLDERS = {
    "aGrass": "grass",
    "bField": "field",
    "cIndustry": "industry",
    "dRiverLake": "river or lake",
    "eForest": "forest",
    "fResident": "residential",
    "gParking": "parking",
}
_BLOCKS = 4  # of file numbers in each class; said to be four scales of the pictures
_MEMBER = re.compile(r"(?:\./)?(\w+)/[a-g](\d+)\.jpg")


class RSSCN7(Source):
    """2 800 RGB images of 96×96, 400 a class; rows are sorted by class, then by number.

    The publisher has no split. Ours is fixed and gives half of the images to test: half of each
    class, and of each hundred of file numbers, which are said to be pictures of one scale.
    """

    name = "rsscn7"
    title = "RSSCN7"
    class_names = tuple(_FOLDERS.values())
    per_class = 400
    place = "gallery/rsscn7/rsscn7_96px_jpeg.tar"
    how = files.by_hand(place, "github.com/palewithout/RSSCN7, resized")
    file = files.File(
        place,
        "10b928eea108df79e6117f0e5fb7ff19dd2c1219c112288135180c252386c244",
        15_032_320,
        by_hand=how,
    )

    def verify(self, root: Path, quick: bool = False) -> None:
        self.file.verify(self.name, root, quick)

    def download(self, root: Path) -> None:
        raise OSError("nobody publishes this file")

    def describe(self, root: Path, size: int | None) -> Facts:
        half = [self.per_class // 2] * len(self.class_names)
        return self._facts((3, size or 96, size or 96), self.class_names, half, half)

    def read(self, split: str, root: Path, size: int | None) -> Dataset:
        labels = np.arange(len(_FOLDERS)).repeat(self.per_class)
        number = np.tile(np.arange(self.per_class), len(_FOLDERS))
        train, test = stratified(labels * _BLOCKS + number * _BLOCKS // self.per_class, 0.5)
        rows = {"train": train, "test": test, "all": np.arange(len(labels))}[split]
        encoded = self._members(root / self.file.path)
        images = decode.room_for(self.name, (len(rows), 3, 96, 96))
        found = decode.threaded(self._pixels, [encoded[row] for row in rows])
        for place, pixels in enumerate(found):
            images[place] = pixels.transpose(2, 0, 1)
        tensors = torch.from_numpy(images), torch.from_numpy(labels[rows])
        return self._dataset(split, *tensors, self.class_names)

    def _members(self, path: Path) -> list[tuple[str, bytes]]:
        """Name and content of each image, in the order of rows."""
        found = {}
        for named, file in decode.tar_files(path, _MEMBER):
            if named[1] in _FOLDERS:
                found[named[1], int(named[2])] = f"{named[0]} in {path}", file.read()
        wanted = [(folder, n + 1) for folder in _FOLDERS for n in range(self.per_class)]
        missing = [f"{folder}/{n}" for folder, n in wanted if (folder, n) not in found]
        if missing or len(found) > len(wanted):
            what = f"lacks {missing[0]}" if missing else f"holds {len(found)} images"
            raise CorruptData(
                f"{self.name}: {path} {what}, expected {self.per_class} in each of"
                f" {', '.join(_FOLDERS)}"
            )
        return [found[key] for key in wanted]

    def _pixels(self, image: tuple[str, bytes]) -> np.ndarray:
        from PIL import Image

        what, content = image
        with decode.readable(self.name, what), Image.open(io.BytesIO(content)) as opened:
            pixels = np.asarray(opened.convert("RGB"))
        decode.need_array(f"{self.name}: {what}", pixels, (96, 96, 3))
        return pixels
