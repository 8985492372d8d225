"""What one run is told, and what it came to."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from contextlib import suppress
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
    imported: str  # hash of those of them that are modules
    parameters: dict[str, Any]
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


def imports(code: Iterable[str]) -> tuple[str, ...]:
    """The modules that pieces of code import; names imported from a module may be modules too."""
    found: dict[str, None] = {}
    for piece in code:
        with suppress(SyntaxError):  # IPython's own syntax, such as %magic
            for node in ast.walk(ast.parse(piece)):
                if isinstance(node, ast.Import):
                    found |= {name.name: None for name in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    names = [f"{node.module}.{name.name}" for name in node.names]
                    found |= dict.fromkeys([str(node.module), *names])
    return tuple(found)
