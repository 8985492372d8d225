"""Things with names, in one dict that says which there are; and random numbers by a seed."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from mdlib.checks import check_seed, unknown

if TYPE_CHECKING:
    import torch

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
    """Inside, torch's global random numbers start from `seed`; afterwards they are as before.

    ValueError for a seed that is none, as of `random_stream`.
    """
    import torch

    check_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def random_stream(seed: int, device: str | torch.device = "cpu") -> torch.Generator:
    """A generator that starts from `seed`; ValueError unless that is a whole number from 0 on."""
    import torch

    check_seed(seed)
    return torch.Generator(device).manual_seed(seed)
