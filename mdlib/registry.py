"""Things with names, in one dict that says which there are; and random numbers by a seed."""

from __future__ import annotations

from collections.abc import Container, Generator, Mapping
from contextlib import contextmanager
from pkgutil import resolve_name
from typing import TYPE_CHECKING, ClassVar, TypeVar

from mdlib.checks import check_seed, unknown

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


class Registry(dict[str, T]):
    """Entries by name. `registry[name]` of an unknown name is a ValueError that names the others.

    `kind` is what an entry is called in that message: "method", "data set". An entry that is the
    text "module:attribute" is imported when it is asked for; of a dict there, its entry of the same
    name is meant. Of a table of such entries a run's sources are those that it names.
    """

    counted: ClassVar[Container[str] | None] = None  # in a sweep's run: the entries that it names

    def __init__(self, kind: str, entries: Mapping[str, T | str]):
        super().__init__(entries)  # ty: ignore[no-matching-overload]  texts stand for what is T
        self.kind = kind

    def __getitem__(self, name: str) -> T:
        entry = super().__getitem__(name)
        if isinstance(entry, str):
            entry = resolve_name(entry)
            return entry[name] if isinstance(entry, dict) else entry
        return entry

    def check_counted(self, name: str) -> None:
        """In a run of a sweep, RuntimeError for an entry that it does not name: its folder would
        not say that numbers came from there. Who makes numbers with entries asks."""
        counted = self.counted is None or name in self.counted
        if not counted and isinstance(self.get(name), str):
            raise RuntimeError(
                f"{self.kind} {name!r} is named by no text of this run's chapter, nor by its "
                f"parameters, so the hash of its sources leaves it out: write the whole name there"
            )

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
        torch.manual_seed(int(seed))  # of NumPy, too
        yield


def random_stream(seed: int, device: str | torch.device = "cpu") -> torch.Generator:
    """A generator that starts from `seed`; ValueError unless that is a whole number from 0 on."""
    import torch

    check_seed(seed)
    return torch.Generator(device).manual_seed(int(seed))
