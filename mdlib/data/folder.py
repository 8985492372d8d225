"""A folder of the reader's own images, one sub-folder a class."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch

from mdlib.data import decode
from mdlib.data.base import Dataset, Source, stratified

ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
_ORIENTATION = 0x0112  # the EXIF tag; its values 5 to 8 swap width and height


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
        path = name.removeprefix("images:")
        if not path:
            raise ValueError("images: needs a path, as in images:photos")
        self.path = Path(path).expanduser()
        self.title = self.path.resolve().name

    def verify(self, root: Path, quick: bool = False) -> None:
        self._files()

    def where(self, root: Path) -> str:
        return str(self.path.absolute())

    def read(self, split: str, root: Path, size: int | None) -> Dataset:
        parts = self._files()
        class_names = sorted({path.parent.name for paths in parts.values() for path in paths})
        chosen = list(parts.values()) if split == "all" else [parts.get(split, parts.get("all"))]
        paths = [path for part in chosen for path in part]
        labels = np.array([class_names.index(path.parent.name) for path in paths])
        if "all" in parts and split != "all":
            train, test = stratified(labels, test_fraction=0.2)
            rows = train if split == "train" else test
            paths, labels = [paths[row] for row in rows], labels[rows]
        if not paths:
            raise ValueError(f"{self.name}: too few images for a test split")
        return Dataset(
            name=self.name,
            title=self.title,
            split=split,
            images=self._pixels(paths, size),
            labels=torch.from_numpy(labels).long(),
            class_names=tuple(class_names),
        )

    def _files(self) -> dict[str, list[Path]]:
        """Files by part: {"train": …, "test": …}, or {"all": …}; sorted by class, then by name."""
        if not self.path.is_dir():
            state = "is not a folder" if self.path.exists() else "does not exist"
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
            if not class_folder.is_dir() or class_folder.name.startswith("."):
                continue
            images = [
                path
                for path in sorted(class_folder.iterdir())
                if path.suffix.lower() in ENDINGS and not path.name.startswith(".")
            ]
            if not images:
                raise FileNotFoundError(
                    f"{self.name}: the class folder {class_folder} holds no image"
                    f" ({' '.join(ENDINGS)})"
                )
            found += images
        if not found:
            raise FileNotFoundError(f"{self.name}: no class folder in {folder}: {self.how}")
        return found

    def _pixels(self, paths: list[Path], size: int | None) -> torch.Tensor:
        # Headers first: whether all have one size is known before the first image is decoded.
        headers = list(decode.threaded(partial(_header, self.name), paths))
        shapes = [shape for shape, _ in headers]
        if size is None and len(set(shapes)) > 1:
            other = next(i for i, shape in enumerate(shapes) if shape != shapes[0])
            raise ValueError(
                f"{self.name}: images of different sizes: {paths[0]} is {_times(shapes[0])},"
                f" {paths[other]} is {_times(shapes[other])}:"
                " pass size=… to crop and resize all to one square"
            )
        grey = all(grey for _, grey in headers)
        width, height = (size, size) if size else shapes[0]
        array = np.empty((len(paths), height, width) + (() if grey else (3,)), dtype=np.uint8)
        read = partial(_decoded, self.name, "L" if grey else "RGB", size)
        for row, pixels in enumerate(decode.threaded(read, paths)):
            array[row] = pixels
        return decode.channels_first(array)


def _header(name: str, path: Path) -> tuple[tuple[int, int], bool]:
    """((width, height), whether it is grey), without decoding the pixels."""
    from PIL import Image

    with decode.readable(name, path), Image.open(path) as image:
        if image.mode[0] in "IF":
            raise ValueError(f"it has more than 8 bits a pixel (mode {image.mode}): convert it")
        turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
        width, height = reversed(image.size) if turned else image.size
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
