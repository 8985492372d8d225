"""What a sweep shows while it runs: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from datetime import timedelta
from typing import Any

from mdlib.sweep.task import Outcome


def duration(seconds: float) -> str:
    """Such as 0:01:30, as the live line has it."""
    return str(timedelta(seconds=round(seconds)))


class Quiet:
    """Shows nothing."""

    def __enter__(self) -> Quiet:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def say(self, text: str) -> None:
        """Something that should be read."""

    def look(self, counts: Counter, newest: Outcome | None = None) -> None:
        """How it stands; `newest` has just ended."""


class Lines(Quiet):
    """For a log file: a line for each run that is done, with what remains."""

    def __init__(self, name: str, total: int, done: int):
        self.name, self.total, self.done = name, total, done
        self.started = time.monotonic()

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def look(self, counts: Counter, newest: Outcome | None = None) -> None:
        if newest is None:
            return
        now, made = time.monotonic(), counts["done"] - self.done
        ended = counts["done"] + counts["failed"]
        failed = f", {counts['failed']} failed" if counts["failed"] else ""
        text = f"{self.name}: {ended} of {self.total}{failed}; {_words(newest)}"
        if made and ended < self.total:
            left = (self.total - ended) * (now - self.started) / made
            text += f"; about {duration(left)} left"
        self.say(text)


class Live(Quiet):
    """For a terminal: rich's bar with counts, the time that remains, and the newest metrics."""

    def __init__(self, name: str, total: int, done: int):
        from rich import progress
        from rich.console import Console

        self.progress = progress.Progress(
            progress.TextColumn(name, markup=False),
            progress.BarColumn(bar_width=20),
            progress.MofNCompleteColumn(),
            progress.TextColumn("[red]{task.fields[failed]}"),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[newest]}", markup=False),
            console=Console(stderr=True),
        )
        self.task = self.progress.add_task("", total=total, completed=done, failed="", newest="")

    def __enter__(self) -> Live:
        self.progress.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.progress.stop()

    def say(self, text: str) -> None:
        self.progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def look(self, counts: Counter, newest: Outcome | None = None) -> None:
        failed = f"{counts['failed']} failed" if counts["failed"] else ""
        fields: dict[str, Any] = {"failed": failed}
        if newest:
            fields["newest"] = _words(newest)[:60]
        self.progress.update(self.task, completed=counts["done"] + counts["failed"], **fields)


_LONGEST = 40  # a text may be a picture


def _words(outcome: Outcome) -> str:
    words = [f"run {outcome.number} {outcome.state} in {duration(outcome.seconds)}"]
    for name, value in outcome.metrics.items():
        said = f"{value:.4g}" if isinstance(value, float) else str(value)
        words.append(f"{name} {said if len(said) <= _LONGEST else said[:_LONGEST] + '…'}")
    return ", ".join(words)


def shown(name: str, total: int, done: int) -> Quiet:
    return (Live if sys.stderr.isatty() else Lines)(name, total, done)
