"""Every combination of some factors once: which image is which, and which is in train or test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from mdlib.data import decode
from mdlib.data.base import SPLIT_SEED, Dataset, Facts, Source


@dataclass(frozen=True)
class Grid:
    """All combinations of `len(factor_sizes)` factors in order, the last factor running fastest."""

    name: str  # of the data set, for messages
    factor_names: tuple[str, ...]
    factor_sizes: tuple[int, ...]

    def __len__(self) -> int:
        return math.prod(self.factor_sizes)

    def factors_of(self, index: int | Sequence | Tensor) -> Int64[Tensor, "... factors"]:
        """Factors of images of the grid.

        Args:
            index: integers [...] in 0..len(grid)-1.
        Returns:
            int64 [..., F], in the order of the factors' names.
        Raises:
            ValueError: an index is not an integer or lies outside the grid.
        """
        index = self._integers(index, "index")
        if index.numel() and (index.min() < 0 or index.max() >= len(self)):
            raise ValueError(f"{self.name}: an index must lie in 0..{len(self) - 1}")
        return torch.stack(torch.unravel_index(index, self.factor_sizes), dim=-1)

    def index_of(self, factors: Sequence | Tensor) -> Int64[Tensor, ...]:
        """The inverse of `factors_of`: int64 [..., F] to [...]; ValueError as in `checked`."""
        factors = self.checked(factors)
        sizes = self.factor_sizes
        strides = [math.prod(sizes[i + 1 :]) for i in range(len(sizes))]
        return (factors * torch.tensor(strides, device=factors.device)).sum(-1)

    def checked(self, factors: Sequence | Tensor) -> Int64[Tensor, "... factors"]:
        """`factors` as int64 [..., F].

        Raises ValueError for a wrong shape or type, or a value outside its factor's range.
        """
        factors = self._integers(factors, "factors")
        if factors.ndim == 0 or factors.shape[-1] != len(self.factor_sizes):
            raise ValueError(
                f"{self.name}: factors must end in {len(self.factor_sizes)} values a row"
                f" ({', '.join(self.factor_names)}), got shape {tuple(factors.shape)}"
            )
        sizes = zip(self.factor_names, self.factor_sizes, strict=True)
        for column, (factor, n) in enumerate(sizes):
            values = factors[..., column]
            if values.numel() and (values.min() < 0 or values.max() >= n):
                raise ValueError(f"{self.name}: factor {factor!r} must lie in 0..{n - 1}")
        return factors

    def checked_rows(self, factors: Sequence | Tensor) -> Int64[Tensor, "images factors"]:
        """`checked`, and a ValueError unless the shape is [N, F]: what a renderer draws."""
        factors = self.checked(factors)
        if factors.ndim != 2:
            raise ValueError(
                f"{self.name}: factors must be [N, {len(self.factor_sizes)}],"
                f" got {tuple(factors.shape)}"
            )
        return factors

    def rows(self, split: str) -> np.ndarray:
        """The indices in ``all``, or in ``train`` and ``test``, a fixed random 80/20; sorted."""
        if split == "all":
            return np.arange(len(self))
        # RandomState, as in `base.stratified`: a stream that never changes.
        mixed = np.random.RandomState(SPLIT_SEED).permutation(len(self))
        n_train = round(0.8 * len(self))
        return np.sort(mixed[:n_train] if split == "train" else mixed[n_train:])

    def _integers(self, values: int | Sequence | Tensor, what: str) -> Tensor:
        values = values if isinstance(values, Tensor) else torch.tensor(values)
        if values.numel() and (values.is_floating_point() or values.dtype == torch.bool):
            raise ValueError(f"{self.name}: {what} must be integers, got {values.dtype}")
        return values.long()


class GridSource(Source):
    """A data set that is a whole grid. One of its factors gives the labels."""

    grid: Grid
    label: str  # the factor whose values are the classes
    class_names: tuple[str, ...]

    image_shape: tuple[int, int, int]  # [C, H, W], H = W, where no size is asked for

    def images(
        self, split: str, root: Path, size: int | None
    ) -> UInt8[Tensor, "images channels size size"]:
        """uint8 [N, C, H, W] of the rows `self.grid.rows(split)`, in that order."""
        raise NotImplementedError

    def describe(self, root: Path, size: int | None) -> Facts:
        channels, side, _ = self.image_shape
        sizes, column = self.grid.factor_sizes, self.grid.factor_names.index(self.label)
        counts = [
            np.bincount(
                np.unravel_index(self.grid.rows(split), sizes)[column], minlength=sizes[column]
            ).tolist()
            for split in ("train", "test")
        ]
        return self._facts((channels, size or side, size or side), self.class_names, *counts)

    def read(self, split: str, root: Path, size: int | None) -> Dataset:
        factors = self.grid.factors_of(torch.from_numpy(self.grid.rows(split)))
        return self._dataset(
            split,
            self.images(split, root, size),
            factors[:, self.grid.factor_names.index(self.label)].clone(),
            self.class_names,
            factors=factors,
            factor_names=self.grid.factor_names,
            factor_sizes=self.grid.factor_sizes,
        )


class DrawnGrid(GridSource):
    """A whole grid that is drawn at any size. Train and test: a fixed random 80/20 of the rows."""

    def draw(
        self, factors: Int64[Tensor, "images factors"], size: int
    ) -> UInt8[Tensor, "images channels {size} {size}"]:
        """The images of these factors."""
        raise NotImplementedError

    def images(
        self, split: str, root: Path, size: int | None
    ) -> UInt8[Tensor, "images channels size size"]:
        rows, (channels, side, _) = torch.from_numpy(self.grid.rows(split)), self.image_shape
        side = size or side
        decode.need_memory(self.name, (len(rows), channels, side, side))
        return self.draw(self.grid.factors_of(rows), side)
