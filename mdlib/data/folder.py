"""A folder of the reader's own images, one sub-folder a class."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch

from mdlib.checks import need
from mdlib.data import decode
from mdlib.data.base import CorruptData, Dataset, Facts, Source, sampled, stratified

_ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
_ORIENTATION = 0x0112  # the EXIF tag; its values 5 to 8 swap width and height
_RESIZE = "pass size=64, say (on the command line -p size 64),"


@dataclass(frozen=True)
class Listing:
    """The images of a folder, sorted by class and then by name, and which rows are in a split."""

    paths: list[Path]
    labels: np.ndarray  # int64 [N]
    class_names: tuple[str, ...]
    rows: dict[str, np.ndarray]  # by split

    def counts(self, split: str) -> list[int]:
        """Images of each class."""
        labels = self.labels[self.rows[split]]
        return np.bincount(labels, minlength=len(self.class_names)).tolist()


class Folder(Source):
    """``images:PATH``: PATH/CLASS/FILE, or PATH/train/CLASS/FILE and PATH/test/CLASS/FILE.

    Without train and test folders the split is a fixed stratified 80/20 of the sorted files. All
    images must be of one size, unless `size` is given: then the shorter side is resized to it and
    the centre is cropped to size × size. Grey [N, 1, H, W] if every image is grey, else RGB
    [N, 3, H, W]; transparency is dropped, a camera's rotation mark (EXIF) is obeyed. Hidden files
    and files that are no images by their ending are passed over.
    """

    how = "arrange the images as PATH/CLASS/FILE, or PATH/train/CLASS/FILE and PATH/test/CLASS/FILE"

    def __init__(self, name: str):
        self.name = name
        self._headers: dict[Path, tuple[tuple[int, int], bool]] = {}
        path = name.removeprefix("images:")
        need(path, "images: needs a path, as in images:photos")
        try:
            self.path = Path(path).expanduser()
            folder = self.path.resolve().name
        except (OSError, RuntimeError, ValueError) as error:  # a loop of links, an unknown ~user
            raise ValueError(f"{name}: no path to a folder: {error}") from None
        # Captions are Markdown and HTML, so what these read as more than text is left out.
        self.title = " ".join(re.sub(r"[^\w ().,+-]|_", " ", folder).split()) or "images"

    def verify(self, root: Path, quick: bool = False) -> None:
        _ = self.listing

    def where(self, root: Path) -> str:
        return str(self.path)

    def describe(self, root: Path, size: int | None) -> Facts:
        listing = self.listing
        shape, _ = self._image_shape(range(len(listing.paths)), size)
        counts = (listing.counts(split) for split in ("train", "test"))
        return self._facts(shape, listing.class_names, *counts)

    def check(self, root: Path, split: str | None, size: int | None, n: int | None) -> None:
        splits = ("train", "test") if split is None else (split,)
        for part in splits:
            self._plan(part, size, n)
        if split is None:
            counts = map(self.listing.counts, splits)
            self._facts((), self.listing.class_names, *counts).refuse_if_no_probe_can_be_fitted()

    def read(self, split: str, root: Path, size: int | None) -> Dataset:
        return self.read_some(split, root, size, None)

    def read_some(self, split: str, root: Path, size: int | None, n: int | None) -> Dataset:
        rows, (channels, height, width) = self._plan(split, size, n)
        images = decode.room_for(self.name, (len(rows), channels, height, width), _ADVICE)
        read = partial(_decoded, self.name, "L" if channels == 1 else "RGB", size)
        paths = [self.listing.paths[row] for row in rows]
        for place, pixels in enumerate(decode.threaded(read, paths)):
            need(
                pixels.shape[:2] == (height, width),
                f"{self.name}: {paths[place]} is turned by a mark behind its pixels: {_RESIZE} for"
                " all to be square, or turn it",
            )
            images[place] = pixels if channels == 1 else pixels.transpose(2, 0, 1)
        labels = torch.from_numpy(self.listing.labels[rows])
        return self._dataset(split, torch.from_numpy(images), labels, self.listing.class_names)

    @cached_property
    def listing(self) -> Listing:
        """What is where; FileNotFoundError or CorruptData, with the file, for what is no image."""
        try:
            parts = self._files()
        except OSError as error:
            if error.errno is None:  # one of our own
                raise
            what = f"cannot read {error.filename}: {error.strerror}"
            raise CorruptData(f"{self.name}: {what}") from error
        paths = [path for part in parts.values() for path in part]
        names = sorted({path.parent.name for path in paths})
        labels = np.array([names.index(path.parent.name) for path in paths])
        everything = np.arange(len(paths))
        if "all" in parts:
            train, test = stratified(labels, test_fraction=0.2)
        else:
            train, test = np.split(everything, [len(parts["train"])])
        rows = {"train": train, "test": test, "all": everything}
        return Listing(paths, labels, tuple(names), rows)

    def _files(self) -> dict[str, list[Path]]:
        """Files by part: {"train": …, "test": …}, or {"all": …}; sorted by class, then by name."""
        if not self.path.is_dir():
            state = "is not a folder" if os.path.lexists(self.path) else "does not exist"
            raise FileNotFoundError(f"{self.name}: {self.path.absolute()} {state}: {self.how}")
        given = [part for part in ("train", "test") if (self.path / part).is_dir()]
        if len(given) == 1:
            other = "test" if given == ["train"] else "train"
            raise FileNotFoundError(
                f"{self.name}: {self.path / given[0]} is there but {self.path / other} is not:"
                " give both, or neither"
            )
        folders = {part: self.path / part for part in given} or {"all": self.path}
        return {part: self._images(folder) for part, folder in folders.items()}

    def _images(self, folder: Path) -> list[Path]:
        found = []
        for class_folder in sorted(folder.iterdir()):
            if class_folder.name.startswith("."):
                continue
            if not class_folder.is_dir():
                if class_folder.is_symlink() and not class_folder.exists():
                    raise FileNotFoundError(f"{self.name}: {class_folder} is {_NOWHERE}: mend it")
                continue
            images = [
                path
                for path in sorted(class_folder.iterdir())
                if path.suffix.lower() in _ENDINGS and not path.name.startswith(".")
            ]
            for path in images:
                if not path.is_file():
                    raise CorruptData(
                        f"{self.name}: {path} is {_kind(path)}, expected an image file: remove it"
                    )
            if not images:
                raise FileNotFoundError(
                    f"{self.name}: the class folder {class_folder} holds no image"
                    f" ({' '.join(_ENDINGS)})"
                )
            found += images
        if not found:
            raise FileNotFoundError(f"{self.name}: no class folder in {folder}: {self.how}")
        return found

    def _plan(
        self, split: str, size: int | None, n: int | None
    ) -> tuple[np.ndarray, tuple[int, int, int]]:
        """Which rows will be read, and their (C, H, W); ValueError if that can't be, by headers."""
        rows = {part: self._rows(part, n) for part in self.listing.rows}
        need(len(rows[split]), f"{self.name}: too few images for a {split} split")
        # What train and test share is asked of both, so that one can't be grey, the other coloured.
        looked_at = np.unique(np.concatenate([rows["train"], rows["test"], rows[split]]))
        shape, largest = self._image_shape(looked_at, size)
        decode.need_memory(self.name, (len(rows[split]), *shape), largest, _ADVICE)
        return rows[split], shape

    def _rows(self, split: str, n: int | None) -> np.ndarray:
        rows = self.listing.rows[split]
        chosen = sampled(len(rows), n)
        return rows if chosen is None else rows[chosen.numpy()]

    def _image_shape(self, rows, size: int | None) -> tuple[tuple[int, int, int], int]:
        """(C, H, W) of these images once they are read, and the bytes that decoding takes."""
        paths = [self.listing.paths[row] for row in rows]
        headers = list(decode.threaded(self._header, paths))
        shapes = [shape for shape, _ in headers]
        if size is None and len(set(shapes)) > 1:
            other = next(i for i, shape in enumerate(shapes) if shape != shapes[0])
            raise ValueError(
                f"{self.name}: images of different sizes: {paths[0]} is {_times(shapes[0])},"
                f" {paths[other]} is {_times(shapes[other])}:"
                f" {_RESIZE} to crop and resize all to one square"
            )
        width, height = (size, size) if size else shapes[0]
        largest = max(w * h for w, h in shapes)
        channels = 1 if all(grey for _, grey in headers) else 3
        return (channels, height, width), 2 * 3 * largest * decode.THREADS  # turned: two copies

    def _header(self, path: Path) -> tuple[tuple[int, int], bool]:
        """((width, height), whether it is grey), without decoding the pixels; kept."""
        if path not in self._headers:
            self._headers[path] = _header(self.name, path)
        return self._headers[path]


_ADVICE = f"{_RESIZE} or max_images"
_NOWHERE = "a link that leads nowhere"


def _kind(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    return "a pipe, a socket or a device" if path.exists() else _NOWHERE


def _header(name: str, path: Path) -> tuple[tuple[int, int], bool]:
    from PIL import Image

    with decode.readable(name, path), Image.open(path) as image:
        if image.mode[0] in "IF":
            raise ValueError(f"it has more than 8 bits a pixel (mode {image.mode}): convert it")
        # Not image.getexif(): PNG's decodes the image first, to look for marks behind the pixels.
        turned = Image.Image.getexif(image).get(_ORIENTATION, 1) in (5, 6, 7, 8)
        tags = getattr(image, "tag_v2", None)  # a TIFF's: its size may be turned already
        size = (tags[256], tags[257]) if tags else image.size
        width, height = reversed(size) if turned else size
        return (width, height), image.mode in ("1", "L", "LA")


def _decoded(name: str, mode: str, size: int | None, path: Path) -> np.ndarray:
    from PIL import Image, ImageOps

    with decode.readable(name, path), Image.open(path) as image:
        image = ImageOps.exif_transpose(image).convert(mode)
        if size:
            image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
        return np.asarray(image)


def _times(shape: tuple[int, int]) -> str:
    return f"{shape[0]}×{shape[1]}"
