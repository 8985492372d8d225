"""The device that a name means, and full precision on it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_HALF = (torch.bfloat16, torch.float16)


def pick_device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" takes cuda, else mps, else cpu. ValueError if not there."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"device={name!r}: expected auto, cpu, cuda, cuda:N or mps") from None
    available = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }.get(device.type, 0)
    if (device.index or 0) >= available:
        raise ValueError(f"device={name!r} is not on this machine: use 'auto' or 'cpu'")
    return device


def full_precision(function: Callable) -> Callable:
    """Tensors of half precision reach `function` as float32, and no autocast makes new ones."""

    def full(value: Any) -> Any:
        return value.float() if isinstance(value, Tensor) and value.dtype in _HALF else value

    @functools.wraps(function)
    def wrapped(*args, **named):
        tensors = (v for v in (*args, *named.values()) if isinstance(v, Tensor))
        with torch.autocast(next(tensors).device.type, enabled=False):
            return function(*map(full, args), **{name: full(v) for name, v in named.items()})

    return wrapped


def as_outside(function: Callable) -> Callable:
    """Inside `function` there is no autocast, and gradients are recorded, whatever the caller's."""

    @functools.wraps(function)
    def wrapped(*args, **named):
        off = functools.partial(torch.autocast, enabled=False)
        with torch.inference_mode(False), torch.enable_grad(), off("cpu"), off("cuda"):
            return function(*args, **named)

    return wrapped
