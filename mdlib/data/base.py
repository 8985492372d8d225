"""What every data set is once it is loaded, and what every source of one can do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mdlib.checks import need
from mdlib.registry import random_stream

SPLIT_SEED = 0  # of every split that we draw ourselves: digits, grids, folders without train/test


class CorruptData(OSError):
    """A file is there but is not the expected one: wrong size, checksum or content."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """A whole split as tensors: index it, there is nothing to iterate over in Python.

    Attributes:
        name: the name that was asked for, as in ``load(name)``.
        title: the name for people, as in a figure's caption.
        split: which part this is: ``train``, ``test``, ``all`` …
        images: uint8 [N, C, H, W], values 0..255; C is 1 (grey) or 3 (RGB). Of large sets they
            are memory-mapped, and then need not be contiguous.
        labels: int64 [N], values 0..len(class_names)-1.
        class_names: one name a label.
        factors: int64 [N, F], factor f in 0..factor_sizes[f]-1; None where none are known.
        factor_names, factor_sizes: of length F; empty where no factors are known.
    """

    name: str
    title: str
    split: str
    images: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    factors: Tensor | None = None
    factor_names: tuple[str, ...] = ()
    factor_sizes: tuple[int, ...] = ()

    def __post_init__(self):
        n, f = len(self.images), len(self.factor_names)
        need(
            self.images.dtype == torch.uint8 and self.images.ndim == 4,
            f"{self.name}: images must be uint8 [N, C, H, W],"
            f" got {self.images.dtype} {tuple(self.images.shape)}",
        )
        need(
            len(self.factor_sizes) == f and (self.factors is None) == (f == 0),
            f"{self.name}: factors, factor_names and factor_sizes must agree",
        )
        for what, values, shape in (
            ("labels", self.labels, [n]),
            ("factors", self.factors, [n, f]),
        ):
            need(
                values is None or (values.dtype == torch.int64 and [*values.shape] == shape),
                f"{self.name}: {what} must be int64 {shape},"
                f" got {getattr(values, 'dtype', '')} {tuple(getattr(values, 'shape', ()))}",
            )

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        factors = f", {len(self.factor_names)} factors" if self.factor_names else ""
        return (
            f"{self.title}, {self.split}: {len(self)} images {list(self.image_shape)},"
            f" {len(self.class_names)} classes{factors}"
        )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def to(self, device: str | torch.device) -> Dataset:
        """The same rows with every tensor on `device`."""
        return self._each(lambda tensor: tensor.to(device))

    def subset(self, indices: Tensor | np.ndarray | Sequence[int] | slice) -> Dataset:
        """The rows at `indices`, in that order: integers, a boolean mask [N], or a slice.

        Raises IndexError for rows that do not exist.
        """
        if not isinstance(indices, slice):
            # A list or array is copied: torch warns of arrays that it may not write to.
            given = indices if isinstance(indices, Tensor) else torch.tensor(indices)
            indices = (given if given.numel() else given.long()).to(self.labels.device)
        return self._each(lambda tensor: tensor[indices])

    def _each(self, change: Callable[[Tensor], Tensor]) -> Dataset:
        factors = None if self.factors is None else change(self.factors)
        return replace(
            self, images=change(self.images), labels=change(self.labels), factors=factors
        )

    def painted(self) -> Dataset:
        """Grey images in shades of red, [N, 3, H, W]: colour that a shift of hue can change.

        Of grey itself no shift of hue is seen; of pure red, each gives another colour. Raises
        ValueError for images that have colours already.
        """
        if self.images.shape[1] != 1:
            raise ValueError(f"{self.name}: expected grey images [N, 1, H, W] to paint")
        black = torch.zeros_like(self.images)
        return replace(
            self,
            title=f"{self.title}, painted",
            images=torch.cat([self.images, black, black], dim=1),
        )

    def sample(self, n: int, seed: int = 0) -> Dataset:
        """At most `n` rows, drawn at random without repetition; all of them, if there are no more.

        Not the first n: many data sets are sorted by class. Raises ValueError for n below 1.
        """
        rows = sampled(len(self), n, seed)
        return self if rows is None else self.subset(rows)


@dataclass(frozen=True)
class Facts:
    """What a data set will be once it is loaded, known before any image is decoded.

    Attributes:
        name, title, class_names: as in `Dataset`.
        image_shape: (C, H, W).
        train, test: how many images of each class there are, one number a class.
    """

    name: str
    title: str
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    train: tuple[int, ...]
    test: tuple[int, ...]

    @property
    def n_train(self) -> int:
        return sum(self.train)

    @property
    def n_test(self) -> int:
        return sum(self.test)

    def refuse_if_no_probe_can_be_fitted(self) -> None:
        """ValueError for what every classifier on codes refuses, hours later, after training."""
        named = list(zip(self.class_names, self.train, self.test, strict=True))
        there = [name for name, n, _ in named if n]
        single = [name for name, n, _ in named if n == 1]
        unseen = [name for name, n, m in named if m and not n]
        problem = (
            (not self.n_test and "too few images for a test split")
            or (len(there) < 2 and f"the training images are all of {there}, expected 2 classes")
            or (unseen and f"test has images of {unseen}, of which train has none")
            or (single and f"train has one image of {single}, expected 2 or more")
        )
        need(not problem, f"{self.name}: {problem}: add images, or take that class out")


class Source:
    """One data set before it is loaded. A data set of your own is a subclass with `read`.

    Generated data needs no more than that; real files also say how they are verified and fetched.
    """

    name: str
    title: str
    splits: tuple[str, ...] = ("train", "test", "all")
    place: str = ""  # of the files, below the data root
    how: str = ""  # one line: how to get the files; ROOT in it stands for the data root

    def verify(self, root: Path, quick: bool = False) -> None:
        """Raise FileNotFoundError or CorruptData unless all that `read` needs is there and whole.

        `quick` leaves out the checksums of files whose sizes are known.
        """

    def where(self, root: Path) -> str:
        """Where verified data come from, in one line."""
        return str(root / self.place) if self.place else "built in, nothing to fetch"

    def download(self, root: Path) -> None:
        """Fetch the files into `root`; whatever this raises is reported with `how`."""

    def read(self, split: str, root: Path, size: int | None) -> Dataset:
        """Read a verified split. A source may use `size`; if it does not, `load` resizes."""
        raise NotImplementedError

    def read_some(self, split: str, root: Path, size: int | None, n: int) -> Dataset:
        """What ``read(…).sample(n)`` gives, for less where a source knows how."""
        return self.read(split, root, size).sample(n)

    def describe(self, root: Path, size: int | None) -> Facts:
        """Facts of verified data. A source that can tell without reading images does so."""
        train, test = (self.read(split, root, size) for split in ("train", "test"))
        counts = [part.labels.bincount(minlength=len(part.class_names)) for part in (train, test)]
        return self._facts(train.image_shape, train.class_names, *(c.tolist() for c in counts))

    def check(self, root: Path, split: str | None, size: int | None, n: int | None) -> None:
        """`verify`, quickly, and whatever else `read` would refuse that can be told beforehand."""
        self.verify(root, quick=True)

    def _dataset(self, split, images, labels, class_names, **factors) -> Dataset:
        return Dataset(self.name, self.title, split, images, labels, class_names, **factors)

    def _facts(self, image_shape, class_names, train, test) -> Facts:
        return Facts(self.name, self.title, image_shape, class_names, tuple(train), tuple(test))


def sampled(total: int, n: int | None, seed: int = 0) -> Tensor | None:
    """`n` of the rows 0 … total − 1, at random without repetition; None if that is all of them."""
    need(n is None or n >= 1, f"sample of {n} rows: expected at least 1")
    if n is None or n >= total:
        return None
    return torch.randperm(total, generator=random_stream(seed))[:n]


def in_turn(labels: Tensor, n: int) -> Tensor:
    """`n` rows, one after the other, from the first again when all had their turn.

    Where labels stand class by class, perhaps twice, as the train and the test of a whole set do,
    the rows are in a fixed random order, that of `sampled`: the first n rows would be of the first
    classes alone.
    """
    rows = torch.arange(n) % len(labels)
    if len(labels.unique_consecutive()) > 2 * len(labels.unique()):
        return rows
    return torch.randperm(len(labels), generator=random_stream(0))[rows]


def stratified(labels: np.ndarray, test_fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """A fixed split that keeps the classes' proportions: row numbers (train, test), both sorted.

    Each class gives round(test_fraction · n) rows to test, but at least one if it has two or more.
    """
    # RandomState on purpose: NumPy promises that its stream never changes, so the split never does.
    rng = np.random.RandomState(SPLIT_SEED)
    test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        n_test = max(round(test_fraction * len(rows)), 1) if len(rows) > 1 else 0
        test[rng.permutation(rows)[:n_test]] = True
    return np.flatnonzero(~test), np.flatnonzero(test)
