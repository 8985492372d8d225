"""The device that a name means."""

from __future__ import annotations

import torch


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
