"""Data sets as whole tensors: generated ones first, real files by path and checksum.

    data = load("sprites")            # uint8 images [N, C, H, W], int64 labels [N], factors [N, F]
    data = load("fashion-mnist", root="~/data")
    data = load("images:photos", size=64)

`names` lists what there is, `check` refuses early what `load` would refuse, `status` tells what is
on this machine. A data set of your own is one `Source` more, and its line in `SOURCES`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from mdlib.checks import need, unknown
from mdlib.data.base import CorruptData, Dataset, Facts, Source
from mdlib.data.decode import resized
from mdlib.data.files import data_root, fetch, how
from mdlib.data.folder import Folder
from mdlib.registry import Registry

__all__ = [
    "SOURCES",
    "CorruptData",
    "Dataset",
    "Facts",
    "Source",
    "Status",
    "check",
    "data_root",
    "describe",
    "load",
    "names",
    "status",
]

SOURCES: Registry[Source | type[Source]] = Registry(
    "data set or images:PATH",
    {
        "digits": "mdlib.data.digits:Digits",
        "sprites": "mdlib.data.sprites:Sprites",
        "scenes": "mdlib.data.scenes:Scenes",
        "pendulum": "mdlib.data.pendulum:Pendulum",
        "pong": "mdlib.data.pong:Pong",
        "mnist": "mdlib.data.files:MNIST",
        "fashion-mnist": "mdlib.data.files:FASHION_MNIST",
        "cifar10": "mdlib.data.cifar:Cifar10",
        "celeba": "mdlib.data.celeba:CelebA",
        "dsprites": "mdlib.data.grids:GRIDS",
        "shapes3d": "mdlib.data.grids:GRIDS",
        "cars3d": "mdlib.data.grids:GRIDS",
        "smallnorb": "mdlib.data.grids:GRIDS",
        "mpi3d-toy": "mdlib.data.grids:GRIDS",
        "mpi3d-realistic": "mdlib.data.grids:GRIDS",
        "mpi3d-real": "mdlib.data.grids:GRIDS",
        "coil20": "mdlib.data.grids:GRIDS",
        "pendulum-causalvae": "mdlib.data.grids:GRIDS",
        "eth80": "mdlib.data.grids:GRIDS",
        "eth80-masks": "mdlib.data.grids:GRIDS",
        "rsscn7": "mdlib.data.rsscn7:RSSCN7",
    },
)


def names() -> tuple[str, ...]:
    """The data sets known by name; ``images:PATH``, a folder of your own, goes beside them."""
    return tuple(SOURCES)


def load(
    name: str,
    split: str = "train",
    root: str | os.PathLike | None = None,
    download: bool = False,
    size: int | None = None,
    max_images: int | None = None,
) -> Dataset:
    """Load a split, into memory or, where it is large, as a memory map.

    Everything that is needed is verified before anything is read: sizes, then checksums.

    Args:
        name: one of `names()`, or ``images:PATH`` for a folder with one sub-folder a class.
        split: ``train``, ``test`` or ``all``; celeba has ``valid``, too.
        root: folder of the real data sets; by default $MDLIB_DATA, else ``data`` in the user's
            cache folder. Ignored by the generated ones and by ``images:PATH``.
        download: fetch missing or damaged files into `root`; damaged MNIST files are kept beside,
            as ``NAME.corrupt``.
        size: side of the (square) images: sprites, scenes, pendulum and pong are drawn at it,
            photographs are resized and cropped, and all others are resized, bilinear. By default
            each has its own size.
        max_images: load a random sample of at most so many, the one that ``.sample(max_images)``
            draws; of a folder, no other image is opened.
    Returns:
        Dataset: images uint8 [N, C, H, W], labels int64 [N], factors int64 [N, F] or None.
    Raises:
        ValueError: unknown name or split, `size` or `max_images` below 1, images of different
            sizes, or more of them than memory holds; nothing was decoded.
        FileNotFoundError: a file or folder is missing; the message says where it was expected.
        CorruptData: a file has the wrong size, checksum or content (an OSError).
        OSError: a download failed, the disk is full, or a package is missing that reads the file;
            the message says what to do by hand.
    """
    source = _source(name, split, size=size, max_images=max_images)
    SOURCES.check_counted(name)
    root = data_root(root)
    if download:
        fetch(source, root)
    source.verify(root)
    if max_images is None:
        data = source.read(split, root, size)
    else:
        data = source.read_some(split, root, size, max_images)
    if size is not None and data.image_shape[1:] != (size, size):
        data = replace(data, images=resized(name, data.images, size))
    return data


def check(
    name: str,
    root: str | os.PathLike | None = None,
    split: str | None = None,
    size: int | None = None,
    max_images: int | None = None,
) -> None:
    """Raise what `load` would raise for a wrong name, split or size, a missing or truncated file.

    Cheap: no image is decoded, and files whose sizes are known are not hashed. Of a folder of your
    own, the images' headers are read; and unless a `split` is named, both splits are asked for, and
    a ValueError tells what a probe would refuse after training: no test images, a single class, a
    class with a single training image, a class that only test has.
    """
    source = _source(name, split, size=size, max_images=max_images)
    source.check(data_root(root), split, size, max_images)


def describe(name: str, root: str | os.PathLike | None = None, size: int | None = None) -> Facts:
    """How many images of which shape and class `load` will give; raises what `check` raises.

    Cheap for all data sets here: counts come from tables, lists or file names, shapes from headers.
    """
    source, root = _source(name, size=size), data_root(root)
    source.verify(root, quick=True)
    return source.describe(root, size)


@dataclass(frozen=True)
class Status:
    """Whether a data set can be loaded here: "ok", "missing" or "corrupt", and a line on why."""

    name: str
    title: str
    state: str
    hint: str


def status(name: str, root: str | os.PathLike | None = None) -> Status:
    """What `load` would find, checksums included; ValueError for an unknown name."""
    source, root = _source(name), data_root(root)
    try:
        source.verify(root)
    except FileNotFoundError:
        return Status(name, source.title, "missing", how(source, root))
    except OSError as error:
        return Status(name, source.title, "corrupt", str(error))
    return Status(name, source.title, "ok", source.where(root))


def _source(name: str, split: str | None = None, **numbers: int | None) -> Source:
    for option, value in numbers.items():
        need(
            value is None or (isinstance(value, int) and value >= 1),
            f"{option} must be an integer of at least 1, or None; got {value!r}",
        )
    found = Folder(str(name)) if str(name).startswith("images:") else SOURCES[name]
    source = found() if isinstance(found, type) else found
    if split is not None and split not in source.splits:
        raise ValueError(unknown(f"split of {name}", split, source.splits))
    return source
