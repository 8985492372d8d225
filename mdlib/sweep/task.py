"""What one run is told, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class SourceChanged(RuntimeError):
    """What would be run is not what the folder's name says."""


@dataclass(frozen=True)
class Task:
    """One run, as it goes from who asks for it to the process that performs it."""

    number: int  # of its point in the sweep
    chapter: str  # path of the chapter's file
    name: str  # what the chapter is called
    folder: str  # of the run's files; absolute
    source: str  # hash of the sources that it is a run of
    imported: str  # hash of all modules that its chapter may import
    parameters: dict[str, Any]
    sweep: str = ""  # who asks: one `mdlib sweep`, from its start to its end
    time_limit: float | None = None  # seconds
    modules: tuple[str, ...] = ()  # to import once for all runs
    variables: dict[str, str] = field(default_factory=dict)  # of its environment
    threads: int | None = None  # for it to compute with; None: as many as its worker has cores


@dataclass(frozen=True)
class Outcome:
    """What a run came to. Unless it was stopped, its folder has a `status` that says the same."""

    number: int
    state: str  # "done", "failed" or "stopped"
    cause: str = ""  # the name of the failure
    message: str = ""
    seconds: float = 0.0
    attempt: int = 1  # the how manieth of this folder, whoever asked for the others
    host: str = ""  # where it was
    metrics: dict[str, Any] = field(default_factory=dict)  # the last row that it recorded
