"""Large arrays in .npz files, without reading the whole of them and without opening a pickle.

`numpy.load` reads an array whole, and maps none that is inside an .npz. But such a file is a zip of
.npy files: one that is stored as it is can be mapped in place, any other can be read row by row.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from mdlib.data.base import CorruptData


def mapped(path: Path, name: str, shape: tuple[int, ...]) -> np.ndarray | None:
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


def pieces(
    path: Path, name: str, shape: tuple[int, ...], rows: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
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
    if found != shape or by_columns or dtype != np.uint8:
        raise CorruptData(
            f"{path}: {name} is {dtype} {found}{' by columns' if by_columns else ''},"
            f" expected uint8 {shape}"
        )
