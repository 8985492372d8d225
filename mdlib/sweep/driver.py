"""Drive a sweep: skip what is done, have the rest performed, say how it goes."""

from __future__ import annotations

import ast
import os
import queue
import signal
import sys
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from mdlib.checks import need
from mdlib.io import read_json
from mdlib.notebook import chapters, execution
from mdlib.sweep import asker, engines, plan, progress, sources
from mdlib.sweep.performer import GRACE
from mdlib.sweep.spec import Point, Spec
from mdlib.sweep.task import Outcome, SourceChanged, Task

_LOOK = 0.1  # seconds that the loop waits for an outcome before it looks at all else
UNSEEN = 15.0  # seconds for a run's files to appear here, as with NFS's caches


class Stopped(RuntimeError):
    """The sweep was let go before its end; running it again goes on from there.

    `code` is the exit code of the command line.
    """

    code = 1


class Interrupted(Stopped):
    """Ctrl-C."""

    code = 130


class SourcesEdited(Stopped):
    """The chapter, or mdlib, is another one than when the sweep was started."""

    code = 4


class SchedulerGone(Stopped):
    """The scheduler is lost."""

    code = 5


@dataclass
class Summary:
    """How a sweep went. `counts` of its runs by state; `failures` by run number."""

    out: Path
    counts: Counter
    failures: dict[int, str] = field(default_factory=dict)


def default_out(spec: Spec) -> Path:
    """``runs/sweeps/NAME`` in the book that the sweep is of, wherever one is; else from here."""
    with suppress(FileNotFoundError):
        book = chapters.root()
        if book in spec.path.parents:
            return book / "runs" / "sweeps" / spec.name
    return Path("runs", "sweeps", spec.name).resolve()


def folders(spec: Spec, out: Path) -> dict[int, Path]:
    """Each run's folder by its number, for the sources as they are now."""
    hashes = sources.source_hashes(spec.chapter, (point.parameters for point in spec.points))
    return {
        point.number: out / plan.run_name(point.parameters, source)
        for point, source in zip(spec.points, hashes, strict=True)
    }


def states(spec: Spec, out: str | os.PathLike | None = None) -> dict[int, str]:
    """The state of each run: done, failed, running, stale or waiting."""
    out = Path(out or default_out(spec)).resolve()
    found = folders(spec, out)
    names = [folder.name for folder in found.values()]
    return dict(zip(found, plan.states(out, names, str(spec.chapter.path)), strict=True))


def uses_gpu(spec: Spec) -> bool:
    """May a run of it compute on a GPU?"""
    return any(point.parameters.get("device", "cpu") != "cpu" for point in spec.points)


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
        scheduler: None for this machine; for Dask "local", "slurm", a scheduler's file (.json) or
            address (``tcp://HOST:8786``). Its workers must see `out`, the chapter and the data
            under the same paths.
        data_root: where the data sets lie; None for the usual places.
        quiet: print nothing.

    Raises:
        Busy: another driver is at work in `out`.
        Stopped: Ctrl-C (`Interrupted`), an edited chapter, a lost scheduler.
        ValueError, OSError: no such engine, a device that is not here, or a folder that cannot be
            written.
    """
    out = Path(out or default_out(spec)).resolve()
    try:
        str(out).encode()
    except UnicodeEncodeError:
        raise ValueError(f"out {str(out)!r} is not UTF-8: choose another folder") from None
    if scheduler is None:
        _check_devices(spec)
    with (
        plan.locked(out / plan.LOCK),
        engines.opened(scheduler, workers, uses_gpu(spec)) as engine,
    ):
        return _Driver(spec, out, engine, data_root, quiet).run()


def _check_devices(spec: Spec) -> None:
    """ValueError for a device that this machine does not have. Unlike `pick_device` this does not
    ask torch: a process that has woken CUDA can't be forked."""
    if os.path.exists("/dev/kfd"):  # AMD's, which torch calls cuda and nothing here counts
        return
    for device in dict.fromkeys(str(p.parameters.get("device", "cpu")) for p in spec.points):
        kind, _, number = device.partition(":")
        there = len(engines.gpus()) if kind == "cuda" else 0
        mps = kind == "mps" and sys.platform == "darwin"
        here = kind in ("auto", "cpu") or mps or int(number or 0) < there
        need(here, f"device={device!r} is not on this machine: use cpu or auto, or --scheduler")


class _Driver:
    def __init__(self, spec: Spec, out: Path, engine: engines.Engine, data_root: Any, quiet: bool):
        self.spec, self.out, self.engine = spec, out, engine
        self.token = uuid.uuid4().hex
        self.folders = folders(spec, out)
        root = execution.absolute(data_root)
        self.variables = {"MDLIB_DATA": root} if root else {}
        # all of them at once: what a run imports late might have been edited by then
        self.modules = sources.imported(spec.chapter)
        self.imported = sources.imported_hash(spec.chapter)
        self.tries: Counter = Counter()
        self.todo: deque[Point] = deque()
        self.waiting: dict[Any, Point] = {}  # by what the engine gave for it
        self.ended: queue.SimpleQueue = queue.SimpleQueue()  # these, in the order of their ends
        self.unseen: list[tuple[float, Point, Outcome]] = []  # said to be done, not seen here yet
        self.signals, self.edited, self.gone = 0, "", ""
        self.summary = Summary(out, Counter())
        self.quiet = quiet

    def run(self) -> Summary:
        counts, total, name = self.summary.counts, len(self.spec.points), self.spec.name
        names = [self.folders[point.number].name for point in self.spec.points]
        states = plan.states(self.out, names, str(self.spec.chapter.path))
        for point, state in zip(self.spec.points, states, strict=True):
            if state == "done":
                counts["done"] += 1
            else:
                self.todo.append(point)
        self.show = progress.Quiet() if self.quiet else progress.shown(name, total, counts["done"])
        started = time.monotonic()
        with self.show, self._signals():
            self.show.say(f"{name}: {total} runs, {counts['done']} of them done, in {self.out}")
            try:
                self._loop()
                while self._gone():
                    self._loop()
            except KeyboardInterrupt:  # who may have to be left without an answer
                asker.interrupt(self.token, kill=True)
                raise Interrupted(self._stopped(f"{name} was interrupted")) from None
            finally:
                counts["stopped"] = len(self.todo) + len(self.waiting) + len(self.unseen)
                if not counts["stopped"]:
                    del counts["stopped"]
            parts = [f"{counts['done']} done", f"{counts['failed']} failed"]
            parts += [f"{counts['stopped']} stopped"] if counts["stopped"] else []
            spent = progress.duration(time.monotonic() - started)
            self.show.say(f"{name}: {', '.join(parts)}, {spent}")
        if counts.total() != total:
            raise RuntimeError(f"of {total} runs {counts.total()} are accounted for: {counts}")
        return self.summary

    def _loop(self) -> None:
        while self.todo or self.waiting or self.unseen:
            while self.todo and len(self.waiting) < self.engine.window:
                self._submit(self.todo.popleft())
            self._collect()
            for news in self.engine.news():
                self.show.say(news)
            if self.gone:
                raise SchedulerGone(self._stopped(self.gone))
            if self.edited:
                self._let_go("the sources were edited: running ones are stopped")
                raise SourcesEdited(self._stopped(self.edited))
            if self.signals:
                self._let_go("stopping: running ones save and end; Ctrl-C again kills them")
                raise Interrupted(self._stopped(f"{self.spec.name} was interrupted"))

    def _gone(self) -> bool:
        """Were runs done whose files are no longer here? They are done again, or have failed."""
        for point in self.spec.points:
            folder = self.folders[point.number]
            if point.number not in self.summary.failures and not (folder / plan.STATUS).exists():
                self.summary.counts["done"] -= 1
                message = f"its files are gone from {folder}: did somebody remove them?"
                self._failed(point, Outcome(point.number, "failed", "NotSeen", message))
        return bool(self.todo)

    def _stopped(self, why: str) -> str:
        done, total = self.summary.counts["done"], len(self.spec.points)
        return f"{why}: {done} of {total} runs are done and stay so; the same command goes on"

    def _submit(self, point: Point) -> None:
        self.tries[point.number] += 1
        folder = self.folders[point.number]
        task = Task(
            number=point.number,
            chapter=str(self.spec.chapter.path),
            name=self.spec.chapter.name,
            folder=str(folder),
            source=folder.name.rpartition("-")[2],
            imported=self.imported,
            parameters=point.parameters,
            sweep=self.token,
            time_limit=self.spec.time_limit,
            modules=self.modules,
            variables=self.variables,
        )
        future = self.engine.submit(task)
        self.waiting[future] = point
        future.add_done_callback(self.ended.put)

    def _collect(self, patience: float = _LOOK) -> None:
        """Take in what has ended; wait a moment if nothing has."""
        with suppress(queue.Empty):
            while True:
                future = self.ended.get(timeout=patience) if patience else self.ended.get_nowait()
                patience = 0
                self._ended(self.waiting.pop(future), future)
        unseen, self.unseen = self.unseen, []
        for deadline, point, outcome in unseen:
            self._take(point, outcome, deadline)
        self.show.look(self.summary.counts)

    def _ended(self, point: Point, future: Any) -> None:
        if future.cancelled():  # not by us
            self.todo.appendleft(point)
            self.gone = "the scheduler let go of runs: it is gone, or somebody cancelled them"
            return
        try:
            outcome = future.result()
        except BaseException as error:  # the engine lost it, and with it the worker's own words
            lost = type(error).__name__, f"the engine lost it: {error}"
            outcome = Outcome(point.number, "failed", *lost)
        self._take(point, outcome, time.monotonic() + UNSEEN)

    def _take(self, point: Point, outcome: Outcome, deadline: float) -> None:
        """Count an outcome; a run is done when its folder says so here."""
        folder, counts = self.folders[point.number], self.summary.counts
        if outcome.state == "done" and not plan.done(folder):
            if time.monotonic() < deadline and not self.signals:
                self.unseen.append((deadline, point, outcome))
                return
            where = f"on {outcome.host or 'its worker'}"
            message = f"it was done {where}, but {folder} is not whole here: is {self.out} shared?"
            outcome = replace(outcome, state="failed", cause="NotSeen", message=message)
        if outcome.cause == SourceChanged.__name__:
            self.todo.appendleft(point)
            self.edited = outcome.message
        elif outcome.state == "done":
            counts["done"] += 1
            if outcome.attempt > self.tries[point.number]:
                self.show.say(f"run {point.number} was begun again: attempt {outcome.attempt}")
            self.show.look(counts, outcome)
        elif outcome.state == "failed":
            self._failed(point, outcome)
        else:
            self.todo.append(point)

    def _failed(self, point: Point, outcome: Outcome) -> None:
        notebook = plan.executed(self.folders[point.number])
        again = self.tries[point.number] <= self.spec.retries and not self.signals
        tried = f", attempt {self.tries[point.number]}" if self.spec.retries else ""
        where = notebook if notebook.exists() else f"{notebook} (it did not come to that)"
        message = (
            f"run {point.number} failed{tried}: {outcome.cause}: {outcome.message}\n"
            f"  executed up to there: {where}"
        )
        self.show.say(message + ("\n  it is tried again" if again else ""))
        if again:
            self.todo.append(point)
        else:
            self.summary.failures[point.number] = message
            self.summary.counts["failed"] += 1

    def _let_go(self, words: str) -> None:
        """Begin nothing, let running ones save and end; at a second Ctrl-C kill them."""
        self.show.say(words)
        self.engine.everywhere(asker.interrupt, self.token)
        deadline = time.monotonic() + GRACE
        while self.signals < 2 and time.monotonic() < deadline and self.waiting:
            self._collect()
        self.engine.everywhere(asker.interrupt, self.token, True)
        deadline = time.monotonic() + 2
        while self.waiting and time.monotonic() < deadline:
            self._collect()

    @contextmanager
    def _signals(self) -> Generator[None]:
        """Count Ctrl-C and SIGTERM instead of dying of them; of a third one, we do."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(number: int, frame: Any) -> None:
            self.signals += 1
            if self.signals > 2:  # a scheduler or a worker that does not answer holds us up
                raise KeyboardInterrupt

        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def estimate(spec: Spec, out: str | os.PathLike | None = None) -> tuple[float | None, str]:
    """Seconds that a run will take, and how we know: by earlier runs, or by the chapter's own.

    The seconds are None where nothing is known.
    """
    seconds = []
    for folder in Path(out or default_out(spec)).glob("*-*"):
        if status := plan.done(folder):
            seconds.append(status["seconds"])
    if seconds:
        return median(seconds), f"the median of {len(seconds)} earlier runs"
    with suppress(OSError, ValueError, KeyError, SyntaxError, StopIteration):
        return _of_its_notebook(spec), "as its notebook took with its defaults"
    return None, "neither earlier runs nor the chapter's notebook say"


def _of_its_notebook(spec: Spec) -> float:
    """The seconds in the output of the chapter's provenance cell, as it was executed last."""
    cells = read_json(spec.chapter.path.with_suffix(".ipynb"))["cells"]
    cell = next(c for c in cells if "provenance" in c["metadata"].get("tags", ()))
    text = next(o["data"]["text/plain"] for o in cell["outputs"] if "text/plain" in o["data"])
    return float(ast.literal_eval("".join(text))["seconds"])
