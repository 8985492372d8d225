"""From image files to one uint8 tensor, on a few threads, with errors that name the file."""

from __future__ import annotations

import math
import os
import re
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from mdlib.checks import need
from mdlib.data.base import CorruptData
from mdlib.io import atomic_write

Pieces = Iterator[tuple[np.ndarray, np.ndarray]]  # numbers of rows, int [n], and their content
T = TypeVar("T")
R = TypeVar("R")
THREADS = min(8, os.cpu_count() or 1)
_CHUNK = 1024  # so that an error in one file does not wait for all the others


def threaded(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """`map(function, items)` on a pool of threads (Pillow decodes without Python's lock)."""
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(items), _CHUNK):
            yield from pool.map(function, items[start : start + _CHUNK])


def tar_files(
    path: Path, named: re.Pattern[str], mode: Literal["r:", "r|*"] = "r:"
) -> Iterator[tuple[re.Match[str], IO[bytes]]]:
    """The regular files of a tar whose names are `named`, open, one after the other.

    Nothing is unpacked, and all other members are passed over: folders, links, other names.
    """
    with tarfile.open(path, mode) as tar:
        for member in tar:
            found = named.fullmatch(member.name)
            if found and member.isreg():
                file = tar.extractfile(member)
                assert file is not None  # as it is for regular members
                yield found, file


@contextmanager
def readable(name: str, what: object) -> Generator[None]:
    """Turn whatever Pillow raises on a bad image into CorruptData that names it (`what`)."""
    from PIL import Image

    try:
        yield
    except CorruptData:
        raise
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{name}: {what} is missing") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise CorruptData(f"{name}: cannot read the image {what}: {error}") from error


def kept(
    name: str, cache: Path, shape: tuple[int, ...], fill: Callable[[np.ndarray], None]
) -> Tensor:
    """A uint8 tensor of `shape`, memory-mapped from `cache`, an .npy file decoded before.

    If it isn't there, `fill` is given an array to write the content to, and that becomes the file.
    What is written to the tensor later never reaches it. Raises CorruptData if `cache` holds
    something else, OSError if the disk has no room.
    """
    if not cache.exists():
        with atomic_write(cache) as temporary:
            # Asked beforehand: a full disk under a memory map kills the process without a word.
            free, needed = shutil.disk_usage(cache.parent).free, math.prod(shape)
            if free < needed:
                raise OSError(
                    f"{name}: the decoded images need {needed / 1e9:.1f} GB in {cache.parent},"
                    f" where {free / 1e9:.1f} GB are free: make room there, or pass a smaller size"
                )
            array = np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
            fill(array)
            array.flush()
    # Mode "c", copy on write: torch accepts the array, and nobody can write to the file by it.
    try:
        array = np.lib.format.open_memmap(cache, "c")
    except (ValueError, EOFError) as error:  # cut short, or something else
        raise CorruptData(f"{name}: {cache} can't be read ({error}): remove it") from None
    if array.dtype != np.uint8 or array.shape != shape:
        raise CorruptData(f"{name}: {cache} is not what mdlib wrote there: remove it")
    return torch.from_numpy(array)


_SMALLER = "pass a smaller size"


def need_memory(name: str, shape: tuple[int, ...], beside: int = 0, advice: str = _SMALLER) -> None:
    """ValueError unless a uint8 array of `shape`, and `beside` bytes more, fit into memory now.

    Asked beforehand: what takes more than there is gets its process killed without a word.
    """
    import psutil

    needed, free = math.prod(shape) + beside, psutil.virtual_memory().available
    size = "×".join(map(str, shape[1:]))
    need(
        needed <= free,
        f"{name}: {shape[0]} images of {size} need {needed / 1e9:.3g} GB of memory, of which"
        f" {free / 1e9:.3g} GB are free: {advice}",
    )


def room_for(name: str, shape: tuple[int, ...], advice: str = _SMALLER) -> np.ndarray:
    """An empty uint8 array; ValueError if there is no memory for it."""
    need_memory(name, shape, advice=advice)
    try:
        return np.empty(shape, dtype=np.uint8)
    except MemoryError as error:  # a limit of this process
        raise ValueError(f"{name}: {error}: {advice}") from None


def resized(
    name: str, images: UInt8[Tensor, "images channels height width"], size: int
) -> UInt8[Tensor, "images channels side side"]:
    """uint8 [N, C, H, W] to uint8 [N, C, size, size], bilinear, anti-aliased where it shrinks."""
    shape = (*images.shape[:2], size, size)
    out = torch.from_numpy(room_for(name, shape))
    for start in range(0, len(images), _CHUNK):
        rows = slice(start, start + _CHUNK)
        large = F.interpolate(images[rows].float(), (size, size), mode="bilinear", antialias=True)
        out[rows] = large.round_().clamp_(0, 255).to(torch.uint8)
    return out


def need_array(what: object, array: np.ndarray, shape: tuple[int, ...], order: str = "") -> None:
    """CorruptData unless `array`, or what has its shape and type, is the uint8 array expected."""
    if array.shape != shape or array.dtype != np.uint8 or order:
        raise CorruptData(f"{what} is {array.dtype} {array.shape}{order}, expected uint8 {shape}")


# Large arrays in .npz files. `numpy.load` reads one whole, and maps none that is inside an .npz.
# But it is a zip of .npy files: what is stored as it is can be mapped in place, all read by rows.


def npz_mapped(path: Path, name: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """The uint8 array `name`, memory-mapped; None if it is compressed.

    What is written to it never reaches the file. Raises CorruptData for another shape or type.
    """
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(f"{name}.npy")
    if member.compress_type != zipfile.ZIP_STORED:
        return None
    with open(path, "rb") as file:
        # The member's own header: 30 bytes, of which the last four are the lengths of two fields
        # that follow. Only the first of them, the name, is the same as in the zip's directory.
        file.seek(member.header_offset + 26)
        file.seek(sum(struct.unpack("<HH", file.read(4))), 1)
        _check_header(file, path, name, shape)
        return np.memmap(path, np.uint8, "c", file.tell(), shape)


def npz_pieces(path: Path, name: str, shape: tuple[int, ...], rows: int) -> Pieces:
    """The uint8 array `name` in pieces of at most `rows`: row numbers [n] and their content.

    Raises CorruptData for another shape or type.
    """
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        _check_header(file, path, name, shape)
        for start in range(0, shape[0], rows):
            numbers = np.arange(start, min(start + rows, shape[0]))
            piece = np.empty((len(numbers), *shape[1:]), dtype=np.uint8)
            piece.reshape(-1)[:] = np.frombuffer(file.read(piece.size), dtype=np.uint8)
            yield numbers, piece


def _check_header(file: IO[bytes], path: Path, name: str, shape: tuple[int, ...]) -> None:
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    found, by_columns, dtype = read(file)
    stated = np.broadcast_to(np.empty((), dtype), found)
    need_array(f"{path}: {name}", stated, shape, " by columns" if by_columns else "")
