"""From image files to one uint8 tensor, on a few threads, with errors that name the file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mdlib.data.base import CorruptData

T, R = TypeVar("T"), TypeVar("R")
_CHUNK = 1024  # so that an error in one file does not wait for all the others


def threaded(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """`map(function, items)` on a pool of threads (Pillow decodes without Python's lock)."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(items), _CHUNK):
            yield from pool.map(function, items[start : start + _CHUNK])


@contextmanager
def readable(name: str, what: object) -> Iterator[None]:
    """Turn whatever Pillow raises on a bad image into CorruptData that names it (`what`)."""
    from PIL import Image

    try:
        yield
    except (CorruptData, FileNotFoundError, PermissionError):
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise CorruptData(f"{name}: cannot read the image {what}: {error}") from error


def channels_first(array: np.ndarray) -> Tensor:
    """[N, H, W] or [N, H, W, C] to a contiguous tensor [N, C, H, W] of the same type."""
    tensor = torch.from_numpy(array)
    return tensor[:, None] if tensor.ndim == 3 else tensor.permute(0, 3, 1, 2).contiguous()


def resized(images: Tensor, size: int) -> Tensor:
    """uint8 [N, C, H, W] to uint8 [N, C, size, size], bilinear, anti-aliased where it shrinks."""
    out = torch.empty(*images.shape[:2], size, size, dtype=torch.uint8, device=images.device)
    for start in range(0, len(images), _CHUNK):
        rows = slice(start, start + _CHUNK)
        large = F.interpolate(images[rows].float(), (size, size), mode="bilinear", antialias=True)
        out[rows] = large.round_().clamp_(0, 255).to(torch.uint8)
    return out
