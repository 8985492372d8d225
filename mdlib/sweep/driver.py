"""Drive a sweep: skip what is done, have the rest performed, say how it goes."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mdlib.io import read_json
from mdlib.notebook import execution
from mdlib.sweep import engine, plan, warm, worker
from mdlib.sweep.spec import Point, Spec

LOOK = 0.02  # seconds between two looks at what is running


class Interrupted(RuntimeError):
    """Ctrl-C: the sweep was let go; running it again goes on from there."""


@dataclass
class Summary:
    """How a sweep went. `counts` of its runs by state; `failures` by run number."""

    out: Path
    counts: Counter
    failures: dict[int, str] = field(default_factory=dict)


def default_out(spec: Spec) -> Path:
    return Path("runs", "sweeps", spec.name)


def folders(spec: Spec, out: Path) -> dict[int, Path]:
    """Each run's folder by its number, for the sources as they are now."""
    source = plan.source_hash(spec.chapter)
    return {p.number: out / plan.run_name(p.parameters, source) for p in spec.points}


def states(spec: Spec, out: str | os.PathLike | None = None) -> dict[int, str]:
    """The state of each run: done, failed, running, stale or waiting."""
    out = Path(out or default_out(spec)).resolve()
    return {n: plan.state(out, folder.name) for n, folder in folders(spec, out).items()}


def run(
    spec: Spec,
    out: str | os.PathLike | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    data_root: str | os.PathLike | None = None,
    quiet: bool = False,
) -> Summary:
    """Perform every run of a sweep that is not done yet. Doing it again is resuming it.

    Args:
        spec: what to run.
        out: the folder of the runs' folders; else ``runs/sweeps/NAME``.
        workers: how many runs at once; else one a GPU, or one a core.
        scheduler: None for this machine; "local" or an address such as tcp://HOST:8786 for Dask,
            whose workers must see `out`, the chapter and the data under the same paths.
        data_root: where the data sets lie; None for the usual places.
        quiet: print nothing.

    Raises:
        Busy: another driver is at work in `out`.
        Interrupted: Ctrl-C.
        ValueError, OSError: no such engine, or a folder that cannot be written.
    """
    out = Path(out or default_out(spec)).resolve()
    with plan.locked(out / plan.LOCK), engine.opened(scheduler, workers) as pool:
        return _Driver(spec, out, pool, data_root, quiet).run()


class _Driver:
    def __init__(self, spec: Spec, out: Path, pool: Any, data_root: Any, quiet: bool):
        self.spec, self.out, self.pool = spec, out, pool
        self.folders = folders(spec, out)
        self.variables = {"MDLIB_DATA": execution.absolute(data_root)} if data_root else {}
        code = [cell.source for cell in spec.chapter.cells if cell.kind == "code"]
        self.modules = warm.imports(code)
        self.attempts: Counter = Counter()
        self.waiting: dict[Any, Point] = {}  # by what the engine gave for it
        self.signals = 0
        self.summary = Summary(out, Counter())
        from mdlib.sweep.progress import Quiet, shown

        self.show = Quiet() if quiet else shown(spec, out)

    def run(self) -> Summary:
        counts = self.summary.counts
        names = {point.number: self.folders[point.number].name for point in self.spec.points}
        done = {n for n, name in names.items() if plan.state(self.out, name) == "done"}
        counts["done"] = len(done)
        worker.go_on()
        with self.show, self._signals():
            self.show.begin(len(names), len(done))
            for point in self.spec.points:
                if point.number not in done:
                    self._submit(point)
            while self.waiting and not self.signals:
                if not self._collect():
                    time.sleep(LOOK)
                self.show.update(counts)
            if self.signals:
                self._let_go()
                raise Interrupted(
                    f"{self.spec.name} was interrupted: {counts['done']} of {len(names)} runs are "
                    f"done and stay so; the same command goes on from there"
                )
            self.show.end(self.summary)
        return self.summary

    def _submit(self, point: Point) -> None:
        self.attempts[point.number] += 1
        task = {
            "number": point.number,
            "attempt": self.attempts[point.number],
            "chapter": str(self.spec.chapter.path),
            "name": self.spec.chapter.name,
            "folder": str(self.folders[point.number]),
            "parameters": point.parameters,
            "time_limit": self.spec.time_limit,
            "threads": None,
            "modules": self.modules,
            "variables": self.variables,
        }
        self.waiting[self.pool.submit(worker.execute, task)] = point

    def _collect(self) -> bool:
        """Take in what has ended since the last look. Was there anything?"""
        ended = [future for future in self.waiting if future.done()]
        for future in ended:
            point = self.waiting.pop(future)
            if future.cancelled():  # it had not begun when Ctrl-C came
                continue
            try:
                outcome = future.result()
            except Exception as error:  # the engine lost it, and with it the worker's own words
                cause, message = type(error).__name__, str(error)
                outcome = {"state": "failed", "cause": cause, "message": message}
            if outcome["state"] == "done":
                self.summary.counts["done"] += 1
                self.show.ended(point, outcome)
            elif outcome["state"] == "failed":
                self._failed(point, outcome)
        return bool(ended)

    def _failed(self, point: Point, outcome: dict[str, Any]) -> None:
        notebook = self.folders[point.number] / plan.NOTEBOOK
        again = self.attempts[point.number] <= self.spec.retries and not self.signals
        tried = f", attempt {self.attempts[point.number]}" if self.spec.retries else ""
        where = notebook if notebook.exists() else f"{notebook} (it did not come to that)"
        message = (
            f"run {point.number} failed{tried}: {outcome['cause']}: {outcome['message']}\n"
            f"  executed up to there: {where}"
        )
        self.show.failed(message + ("\n  it is tried again" if again else ""))
        if again:
            self._submit(point)
        else:
            self.summary.failures[point.number] = message
            self.summary.counts["failed"] += 1

    def _let_go(self) -> None:
        """After Ctrl-C: begin nothing, let running ones save and end; at the second, kill them."""
        self.show.failed("stopping: running ones save and end; Ctrl-C again kills them")
        for future in self.waiting:
            future.cancel()
        worker.interrupt_all()
        deadline = time.monotonic() + worker.GRACE
        while self.signals < 2 and time.monotonic() < deadline and worker.busy():
            self._collect()
            time.sleep(LOOK)
        worker.interrupt_all(kill=True)
        deadline = time.monotonic() + 2
        while worker.busy() and time.monotonic() < deadline:
            time.sleep(LOOK)
        self._collect()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Count Ctrl-C and SIGTERM instead of dying of them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(number: int, frame: Any) -> None:
            self.signals += 1

        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def estimate(spec: Spec, out: str | os.PathLike | None = None) -> tuple[float | None, str]:
    """Seconds that a run will take, and how we know: by earlier runs, or by what the chapter says.

    The seconds are None where nothing is known.
    """
    import re
    from statistics import median

    seconds = []
    for path in Path(out or default_out(spec)).glob(f"*/{plan.ENVIRONMENT}"):
        with suppress(OSError, ValueError, KeyError):
            status = read_json(path.parent / plan.STATUS)
            if status["state"] == "done":
                seconds.append(read_json(path)["seconds"])
    if seconds:
        return median(seconds), f"the median of {len(seconds)} earlier runs"
    units = {"s": 1, "m": 60, "h": 3600}
    if found := re.search(r"(\d+(?:\.\d+)?)\s*(s|m|h)", spec.chapter.time.lower()):
        return float(found[1]) * units[found[2]], f"the chapter says: {spec.chapter.time}"
    return None, "neither earlier runs nor the chapter say"
