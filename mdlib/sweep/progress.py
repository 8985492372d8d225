"""What a sweep shows while it runs: one live line on a terminal, a few plain ones elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from mdlib.sweep.spec import Point, Spec


class Quiet:
    """Shows nothing."""

    def __enter__(self):
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def begin(self, total: int, done: int) -> None:
        """So many runs, so many of them done before."""

    def update(self, counts: Counter) -> None:
        """A look at the counts, several times a second."""

    def ended(self, point: Point, outcome: dict[str, Any]) -> None:
        """A run is done."""

    def failed(self, message: str) -> None:
        """Something that should be read."""

    def end(self, summary: Any) -> None:
        """The last words."""


class Lines(Quiet):
    """For a log file: one line at the start, one at the end, and the failures."""

    def __init__(self, spec: Spec, out: Path):
        self.spec, self.out, self.started = spec, out, time.monotonic()

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def begin(self, total: int, done: int) -> None:
        self.say(f"{self.spec.name}: {total} runs, {done} of them done, in {self.out}")

    def failed(self, message: str) -> None:
        self.say(message)

    def end(self, summary: Any) -> None:
        counts, seconds = summary.counts, time.monotonic() - self.started
        self.say(
            f"{self.spec.name}: {counts['done']} done, {counts['failed']} failed, {seconds:.0f} s"
        )


class Live(Lines):
    """For a terminal: a bar with counts, the time that remains, and the newest metrics."""

    def __init__(self, spec: Spec, out: Path):
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        super().__init__(spec, out)
        self.progress = Progress(
            TextColumn(spec.name, markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("[red]{task.fields[failed]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[newest]}", markup=False),
            console=Console(stderr=True),
        )

    def __enter__(self):
        self.progress.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.progress.stop()

    def say(self, text: str) -> None:
        self.progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def begin(self, total: int, done: int) -> None:
        super().begin(total, done)
        fields = {"failed": "", "newest": ""}
        self.task = self.progress.add_task("", total=total, completed=done, **fields)

    def update(self, counts: Counter) -> None:
        failed = f"{counts['failed']} failed" if counts["failed"] else ""
        self.progress.update(self.task, completed=counts["done"] + counts["failed"], failed=failed)

    def ended(self, point: Point, outcome: dict[str, Any]) -> None:
        for row in outcome.get("metrics", [])[-1:]:
            words = [f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()]
            newest = f"run {point.number}: " + ", ".join(words)
            self.progress.update(self.task, newest=newest[:60])


def shown(spec: Spec, out: Path) -> Quiet:
    return (Live if sys.stderr.isatty() else Lines)(spec, out)
