"""Things with names: one dict that says which names there are, and weights drawn by a seed."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TypeVar

from mdlib.checks import unknown

T = TypeVar("T")


class Registry(dict[str, T]):
    """Entries by name. `registry[name]` of an unknown name is a ValueError that names the others.

    `kind` is what an entry is called in that message: "method", "data set".
    """

    def __init__(self, kind: str, entries: dict[str, T]):
        super().__init__(entries)
        self.kind = kind

    def __missing__(self, name: str) -> T:
        raise ValueError(unknown(self.kind, name, self))


@contextmanager
def seeded(seed: int) -> Generator[None]:
    """Inside, torch's global random numbers start from `seed`; afterwards they are as before."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
