"""Published data sets with every combination of their factors once: a table, and its readers.

A set of the same kind is one more in `_FILES`; one in another format also a reader, a function
of the grid and a path that yields its images piece by piece.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from mdlib.checks import need
from mdlib.data import decode, files
from mdlib.data.base import CorruptData, Dataset, Facts, Source
from mdlib.data.decode import Pieces
from mdlib.data.grid import Grid, GridSource
from mdlib.data.tars import ANGLES, ETH80_VIEWS, LIGHTS, eth80, pendulum

_ROWS = 1024  # images at once, while a file is decoded


class GridFile(GridSource):
    """A whole grid in one file, too large to decode at every start.

    What is decoded (and resized) is kept in the cache folder, a file for each split and size, and
    memory-mapped from there: it takes disk space, but no more memory than what is used of it.
    Where the file itself can be mapped, split ``all`` in its own size is (channels are last in it,
    so the tensor is strided). The published files have no test part: train and test are a fixed
    random 80/20 of the rows.
    """

    def __init__(
        self,
        name: str,
        title: str,
        factors: dict[str, int],
        label: str,
        class_names: tuple[str, ...],
        image_shape: tuple[int, int, int],
        pieces: Callable[[GridFile, Path], Pieces],
        path: str,
        md5: str,
        url: str,
        *,
        page: str,
        file_size: int | None = None,
        package: str = "",
    ):
        """`pieces` reads the file at `path`, by `package` if need be; people find it on `page`.

        `url` is empty where a file has to be made, by or of what is on `page`.
        """
        self.name, self.title, self.place = name, title, path
        self.grid = Grid(name, tuple(factors), tuple(factors.values()))
        self.label, self.class_names, self.image_shape = label, class_names, image_shape
        self.how = files.by_hand(path, page)
        self.file = files.File(path, md5, file_size, "md5", url, "" if url else self.how)
        self.package, self.pieces = package, partial(pieces, self)
        if url:
            self.how = f'load("{name}", download=True), or {self.how}'
        if package:
            self.how += f"; reading it needs the package {package}: pip install {package}"

    def verify(self, root: Path, quick: bool = False) -> None:
        self.file.verify(self.name, root, quick)
        if self.package and find_spec(self.package) is None:
            raise OSError(
                f"{self.name}: {root / self.file.path} is read by the package {self.package}:"
                f" pip install {self.package}"
            )

    def download(self, root: Path) -> None:
        need(self.file.url, "nobody publishes this file")
        files.download(self.file, root)

    @property
    def shape(self) -> tuple[int, ...]:
        """[N, H, W, C], as files have it; [N, H, W] if grey."""
        channels, height, width = self.image_shape
        return (len(self.grid), height, width, *([channels] if channels > 1 else []))

    def images(
        self, split: str, root: Path, size: int | None
    ) -> UInt8[Tensor, "images channels size size"]:
        channels, side, _ = self.image_shape
        size, path = size or side, root / self.file.path
        if split == "all" and size == side and self.pieces.func is mpi3d:
            mapped = decode.npz_mapped(path, "images", self.shape)
            if mapped is not None:
                return torch.from_numpy(mapped).permute(0, 3, 1, 2)
        rows = self.grid.rows(split)
        place = np.full(len(self.grid), -1)  # of each row of the grid within the split
        place[rows] = np.arange(len(rows))

        def fill(array: np.ndarray) -> None:
            for numbers, images in self.pieces(path):
                to = place[numbers]
                pixels = torch.from_numpy(images[to >= 0])
                if size != side:
                    pixels = decode.resized(self.name, pixels, size)
                array[to[to >= 0]] = pixels

        cache = files.cache_folder() / f"{self.name}-{split}-{size}-{self.file.digest}.npy"
        return decode.kept(self.name, cache, (len(rows), channels, size, size), fill)


# Readers of one file each: all of its images, in pieces.


def dsprites(source: GridFile, path: Path) -> Pieces:
    """Pixels 0 and 1. Its metadata are a pickle, which is never opened."""
    with np.load(path, allow_pickle=False) as file:  # reads an array when it is asked for
        classes = file["latents_classes"][:, 1:]
    if not np.array_equal(classes, source.grid.factors_of(torch.arange(len(source.grid))).numpy()):
        raise CorruptData(f"{source.name}: {path}: latents_classes is not the grid in order")
    for rows, images in decode.npz_pieces(path, "imgs", source.shape, _ROWS):
        yield rows, images[:, None] * np.uint8(255)


def shapes3d(source: GridFile, path: Path) -> Pieces:
    import h5py

    with h5py.File(path, "r") as file:
        images = file["images"]
        decode.need_array(f"{source.name}: {path}: images", images, source.shape)
        # A block of compressed pixels can reach over many images: each is to be read once.
        step = images.chunks[0] if images.chunks else _ROWS
        for start in range(0, len(images), step):
            piece = images[start : start + step]
            yield np.arange(start, start + len(piece)), piece.transpose(0, 3, 1, 2)


def cars3d(source: GridFile, path: Path) -> Pieces:
    """A tar file with a MATLAB file a car, in the order of their names; nothing is unpacked."""
    from scipy.io import loadmat

    elevations, azimuths, cars = source.grid.factor_sizes
    channels, height, width = source.image_shape
    members = partial(decode.tar_files, path, re.compile(r"(?:\./)?data/cars/\w+\.mat"), "r|*")
    names = sorted(car[0] for car, _ in members())  # first: a gz file can't be read out of order
    if len(names) != cars:
        raise CorruptData(f"{source.name}: {path} holds {len(names)} cars, expected {cars}")
    for car, file in members():
        mesh = loadmat(io.BytesIO(file.read()), variable_names=["im"])["im"]
        shape = (height, width, channels, azimuths, elevations)
        decode.need_array(f"{source.name}: {car[0]} in {path}", mesh, shape)
        views = mesh.transpose(4, 3, 2, 0, 1).reshape(-1, channels, height, width)
        yield np.arange(len(views)) * cars + names.index(car[0]), views


def coil20(source: GridFile, path: Path) -> Pieces:
    """A MATLAB matrix with a row an image, object by object; its pixels run down the columns."""
    from scipy.io import loadmat

    (objects, turns), side = source.grid.factor_sizes, source.image_shape[1]
    pixels, labels = (loadmat(path, variable_names=[name])[name] for name in ("X", "Y"))
    decode.need_array(f"{source.name}: X in {path}", pixels, (objects * turns, side * side))
    if not np.array_equal(labels.ravel(), np.repeat(np.arange(1, objects + 1), turns)):
        raise CorruptData(f"{source.name}: Y in {path} is not {turns} times 1 to {objects}")
    yield np.arange(len(pixels)), pixels.reshape(-1, 1, side, side).transpose(0, 1, 3, 2)


def mpi3d(source: GridFile, path: Path) -> Pieces:
    for rows, images in decode.npz_pieces(path, "images", source.shape, _ROWS):
        yield rows, images.transpose(0, 3, 1, 2)


# The sets. Where the publisher gives no checksum, the MD5 is the one that loaders of other projects
# check the file by (github.com/nmichlo/disent among them).

DSPRITES = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
_DEEPMIND = "google-deepmind"
_CARS = "nips2015-analogy-data.tar.gz"
_ROOM = {"floor_hue": 10, "wall_hue": 10, "object_hue": 10,
        "scale": 8, "shape": 4, "orientation": 15}  # fmt: skip
_ARM = {"object_color": 6, "object_shape": 6, "object_size": 2, "camera_height": 3,
       "background_color": 3, "horizontal_axis": 40, "vertical_axis": 40}  # fmt: skip
_ARM_SHAPES = ("cone", "cube", "cylinder", "hexagonal", "pyramid", "sphere")
_HUGGING_FACE = "huggingface.co/datasets/waleedgondal/mpi3d"

# fmt: off
_FILES: tuple[GridFile, ...] = (
    # 737 280 images, values 0 and 255. The file's sixth factor, colour, has one value and is left
    # out. Orientations run over the whole circle, so those of a square repeat four times and those
    # of an ellipse twice: no code can tell them all apart.
    # L. Matthey, I. Higgins, D. Hassabis, A. Lerchner, dSprites, 2017 (Apache 2.0).
    GridFile("dsprites", "dSprites",
             {"shape": 3, "scale": 6, "orientation": 40, "x": 32, "y": 32},
             "shape", ("square", "ellipse", "heart"), (1, 64, 64), dsprites,
             f"dsprites/{DSPRITES}", "7da33b31b13a06f4b04a70402ce90c2e",
             f"https://raw.githubusercontent.com/{_DEEPMIND}/dsprites-dataset/master/{DSPRITES}",
             page="github.com/google-deepmind/dsprites-dataset"),
    # 480 000 images. C. Burgess, H. Kim, 3D shapes dataset, 2018 (Apache 2.0).
    GridFile("shapes3d", "3D Shapes", _ROOM,
             "shape", ("cube", "cylinder", "sphere", "capsule"), (3, 64, 64), shapes3d,
             "shapes3d/3dshapes.h5", "099a2078d58cec4daad0702c55d06868",
             "https://storage.googleapis.com/3d-shapes/3dshapes.h5",
             page="github.com/google-deepmind/3d-shapes", file_size=267_573_662, package="h5py"),
    # 17 568 images. S. Reed, Y. Zhang, Y. Zhang, H. Lee, Deep visual analogy-making, NeurIPS 2015.
    GridFile("cars3d", "Cars3D", {"elevation": 4, "azimuth": 24, "car": 183},
             "car", tuple(f"car {k}" for k in range(183)), (3, 128, 128), cars3d,
             f"cars3d/{_CARS}", "4e866a7919c1beedf53964e6f7a23686",
             f"http://www.scottreed.info/files/{_CARS}", page="www.scottreed.info"),
    # Three times 1 036 800 images, 12.7 GB, of a robot arm that holds an object: drawn simply,
    # drawn well, photographed. M. W. Gondal et al., On the transfer of inductive bias from
    # simulation to the real world, NeurIPS 2019, arXiv:1906.03292 (CC BY 4.0).
    *(GridFile(f"mpi3d-{kind}", f"MPI3D {kind}", _ARM,
               "object_shape", _ARM_SHAPES, (3, 64, 64), mpi3d,
               f"mpi3d/mpi3d_{kind}.npz", md5,
               f"https://{_HUGGING_FACE}/resolve/main/mpi3d_{kind}.npz", page=_HUGGING_FACE)
      for kind, md5 in (("toy", "55889cb7c7dfc655d6e0277beee88868"),
                        ("realistic", "59a6225b88b635365f70c91b3e52f70f"),
                        ("real", "0f33f609918fb5c97996692f91129802"))),
    # 1 440 photographs of 20 objects on a turntable, every 5°, resized from 128 pixels by D. Cai.
    # S. A. Nene, S. K. Nayar, H. Murase, Columbia object image library (COIL-20), 1996 (the page
    # states no licence).
    GridFile("coil20", "COIL-20", {"object": 20, "angle": 72},
             "object", tuple(f"object {k}" for k in range(1, 21)), (1, 32, 32), coil20,
             "gallery/coil20_32px/COIL20.mat", "563dbc3bbef2774639ec856b2cf9c6c5", "",
             page="data/COIL20.mat of github.com/hyzhang98/AdaGAE", file_size=896_630),
    # 840 images, every third angle of pendulum and light of CausalVAE's 7 308, drawn by its program
    # with matplotlib 3.11.2. M. Yang et al., CausalVAE, CVPR 2021 (MIT).
    GridFile("pendulum-causalvae", "Pendulum of CausalVAE",
             {"angle": len(ANGLES), "light": len(LIGHTS)},
             "angle", tuple(f"{0.9 * i:.1f}°" for i in ANGLES), (3, 96, 96), pendulum,
             "gallery/pendulum_causalvae/pendulum_96px_png.tar",
             "2ea28d787a5cace7ebdd6360dc82e120", "", file_size=1_669_120,
             page="drawn by research/CausalVAE of github.com/huawei-noah/trustworthyAI"),
    # 3 280 photographs and their masks (0 and 255), 128 pixels, of 80 objects from 41 sides: JPEG
    # and 1-bit PNG files made of the 256-pixel PNG files on the page. Train and test share objects:
    # to keep them apart, load "all" and split by object. B. Leibe, B. Schiele, Analyzing appearance
    # and contour based methods for object categorization, CVPR 2003 (no licence is stated).
    *(GridFile(f"eth80{kind}", f"ETH-80{kind and ', masks'}",
               {"category": 8, "object": 10, "view": len(ETH80_VIEWS)},
               "category", ("apple", "car", "cow", "cup", "dog", "horse", "pear", "tomato"),
               (channels, 128, 128), eth80, "gallery/eth80/eth80_128px.tar",
               "446da6f780387d74b35a2788a50b482e", "",
               page="made of github.com/chenchkx/ETH-80", file_size=20_439_040)
      for kind, channels in (("", 3), ("-masks", 1))),
)
# fmt: on


# One more, published in two splits of three files each.

_NORB_FACTORS = {"category": 5, "instance": 10, "elevation": 9, "azimuth": 18, "lighting": 6}
_NORB_URL = "https://cs.nyu.edu/~ylclab/data/norb-v1.0-small"
_NORB_NAMES = {
    "train": "smallnorb-5x46789x9x18x6x2x96x96-training",
    "test": "smallnorb-5x01235x9x18x6x2x96x96-testing",
}
_NORB_SIZES = {"dat": 447_897_624, "cat": 97_220, "info": 388_820}  # 24 300 stereo pairs a split
_NORB_MD5 = {
    ("train", "dat"): "8138a0902307b32dfa0025a36dfa45ec",
    ("train", "cat"): "fd5120d3f770ad57ebe620eb61a0b633",
    ("train", "info"): "19faee774120001fc7e17980d6960451",
    ("test", "dat"): "e9920b7f7b2869a8f1a12e945b2c166c",
    ("test", "cat"): "fd5120d3f770ad57ebe620eb61a0b633",  # the same: in both, categories take turns
    ("test", "info"): "7c5b871cc69dcadec1bf6a18141f5edc",
}
# Of a matrix, by its first four bytes.
_NORB_TYPES = {0x1E3D4C55: np.dtype("u1"), 0x1E3D4C54: np.dtype("<i4")}


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

    name = place = "smallnorb"
    title = "small NORB"
    how = (
        f'load("{name}", download=True), or fetch the six *.mat.gz files from'
        f" {_NORB_URL.removeprefix('https://')} into ROOT/smallnorb and gunzip them"
    )
    class_names = ("animal", "human", "airplane", "truck", "car")

    def __init__(self):
        self.files = {}
        for (split, kind), md5 in _NORB_MD5.items():
            name = f"{_NORB_NAMES[split]}-{kind}.mat"
            self.files[split, kind] = files.File(
                f"smallnorb/{name}", md5, _NORB_SIZES[kind], "md5", f"{_NORB_URL}/{name}.gz"
            )

    def verify(self, root: Path, quick: bool = False) -> None:
        files.verify_all(self.name, list(self.files.values()), root, quick)

    def download(self, root: Path) -> None:
        for file in self.files.values():
            try:
                file.verify(self.name, root)
            except (FileNotFoundError, CorruptData):
                files.download(file, root)

    def describe(self, root: Path, size: int | None) -> Facts:
        categories = (
            _norb_matrix(root / self.files[part, "cat"].path) for part in ("train", "test")
        )
        counts = (np.bincount(part, minlength=5).tolist() for part in categories)
        return self._facts((1, size or 96, size or 96), self.class_names, *counts)

    def read(self, split: str, root: Path, size: int | None) -> Dataset:
        parts = ["train", "test"] if split == "all" else [split]
        images, factors = zip(*(self._read(part, root) for part in parts), strict=True)
        images, factors = (t[0] if len(t) == 1 else torch.cat(t) for t in (images, factors))
        names, sizes = zip(*_NORB_FACTORS.items(), strict=True)
        known = {"factors": factors, "factor_names": names, "factor_sizes": sizes}
        return self._dataset(split, images, factors[:, 0].clone(), self.class_names, **known)

    def _read(self, part: str, root: Path) -> tuple[torch.Tensor, torch.Tensor]:
        """Left images uint8 [N, 1, 96, 96], mapped, and factors int64 [N, 5]."""
        pairs, category, info = (
            _norb_matrix(root / self.files[part, kind].path) for kind in ("dat", "cat", "info")
        )
        factors = np.column_stack([category, info]).astype(np.int64)
        factors[:, 3] //= 2  # azimuths are published in tens of degrees: 0, 2, … 34
        return torch.from_numpy(pairs)[:, :1], torch.from_numpy(factors)


GRIDS: dict[str, Source] = {source.name: source for source in (*_FILES, SmallNorb())}


def _norb_matrix(path: Path) -> np.ndarray:
    """A matrix in NORB's binary format, memory-mapped; what is written to it stays in memory.

    Little-endian integers of four bytes: the type, the number of dimensions, the dimensions (never
    fewer than three are written), and then the content.
    """
    with open(path, "rb") as file:
        kind, ndim = np.fromfile(file, "<i4", 2)
        dimensions = np.fromfile(file, "<i4", max(ndim, 3))[:ndim]
        if kind not in _NORB_TYPES:
            raise CorruptData(f"smallnorb: {path} begins with {kind:#x}: not a matrix of NORB's")
        return np.memmap(path, _NORB_TYPES[kind], "c", file.tell(), tuple(dimensions.tolist()))
