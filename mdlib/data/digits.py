"""Handwritten digits that come with scikit-learn: real data without a network."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F

from mdlib.data import decode
from mdlib.data.base import Dataset, Facts, Source, stratified


class Digits(Source):
    """1797 digits of 8×8 pixels with 17 grey levels, enlarged once to 32×32 (bilinear).

    Split: stratified, a quarter of each class to test, drawn with `base.SPLIT_SEED`.
    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine
    Learning Repository, 1998, doi:10.24432/C50P49 (its test part), through
    `sklearn.datasets.load_digits`.
    """

    name = "digits"
    title = "Digits (8×8, enlarged)"

    def describe(self, root: Path, size: int | None) -> Facts:
        train = (134, 136, 133, 137, 136, 136, 136, 134, 130, 135)
        test = (44, 46, 44, 46, 45, 46, 45, 45, 44, 45)
        return self._facts((1, size or 32, size or 32), tuple("0123456789"), train, test)

    def read(self, split: str, root: Path, size: int | None) -> Dataset:
        from sklearn.datasets import load_digits  # slow to import, so only where it is needed

        bunch = load_digits()
        side = size or 32
        small = torch.tensor(bunch.images, dtype=torch.float32)[:, None] * (255 / 16)
        floats = 8 * len(small) * side**2  # the images, and they rounded, before they are bytes
        decode.need_memory(self.name, (len(small), 1, side, side), floats)
        large = F.interpolate(small, (side, side), mode="bilinear", align_corners=False)
        labels = torch.tensor(bunch.target, dtype=torch.int64)
        names = tuple("0123456789")
        data = self._dataset(split, large.round().to(torch.uint8), labels, names)
        if split == "all":
            return data
        train, test = stratified(bunch.target, test_fraction=0.25)
        return data.subset(train if split == "train" else test)
