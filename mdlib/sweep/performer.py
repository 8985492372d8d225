"""What happens in a run's own process: the chapter is executed, and the run's files are left.

The process is a fork of the forkserver's, and it is the chapter's kernel too. It dies with whoever
asked for the run, and takes along all that the chapter started.
"""

from __future__ import annotations

import logging
import math
import os
import platform
import signal
import sys
import threading
import time
import warnings
from contextlib import suppress
from dataclasses import replace
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mdlib.io import write_json
from mdlib.notebook import execution, provenance, results
from mdlib.notebook.chapters import Chapter
from mdlib.registry import Registry
from mdlib.sweep import plan, sources
from mdlib.sweep.task import Outcome, SourceChanged, Task

GRACE = 10.0  # seconds that an interrupted run has to save its state


class Performance:
    """What the forkserver's fork is handed: it calls `_bootstrap`, as of any multiprocessing one.

    A `Process` would first import the asker's ``__main__`` in each run: a whole command line, or a
    script that is then run a second time.
    """

    def __init__(self, task: Task):
        self.task = task

    def _bootstrap(self, parent_sentinel: int) -> int:
        with suppress(OSError):
            os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        [theirs] = forkserver.get_inherited_fds() or []  # None: not forked by a server
        asker = Connection(theirs)
        stopped = threading.Event()
        threading.Thread(target=_listen, args=(asker, stopped), daemon=True).start()
        asker.send(perform(self.task, stopped))
        os.killpg(0, signal.SIGKILL)  # with whatever the chapter left running
        return 0


def _listen(asker: Connection, stopped: threading.Event) -> None:
    """Interrupt the chapter when the asker says so; die if the asker has died."""
    while True:
        try:
            asker.recv()
        except (EOFError, OSError):
            os.killpg(0, signal.SIGKILL)
        stopped.set()
        os.kill(os.getpid(), signal.SIGINT)
        from mdlib.sweep import kernel

        kernel.interrupt_children()


def perform(task: Task, stopped: threading.Event) -> Outcome:
    """Execute the chapter in this process, and leave the run's files, its status last."""
    folder, host = Path(task.folder), platform.node()
    try:
        # what a lost driver or worker left may be at it still: nothing is done twice
        with plan.locked(folder / plan.LOCK, patience=math.inf):
            if outcome := plan.earlier(folder, task.number):  # by another worker
                return replace(outcome, host=host)
            chapter, notebook = _checked(task)
            os.environ.update(task.variables | {"MDLIB_RUN_SOURCES": task.source})
            attempt = plan.attempts(folder) + 1
            plan.prepare(folder, task.parameters)
            plan.log(folder, "start", attempt=attempt, pid=os.getpid())
            outcome = _execute(task, chapter, notebook, stopped)
            outcome = replace(outcome, attempt=attempt, host=host)
            plan.end(folder, outcome, task.chapter)
            return outcome
    except (Exception, KeyboardInterrupt) as error:
        # not a file of the run can be written, or none may be
        state = "stopped" if stopped.is_set() else "failed"
        return Outcome(task.number, state, type(error).__name__, str(error), host=host)


def _checked(task: Task) -> tuple[Chapter, Any]:
    """The chapter and its notebook, if what was imported and what lies there now are both what was
    asked for, else SourceChanged."""
    from mdlib.sweep import preload

    problem = ""
    try:
        chapter = Chapter(task.chapter, task.name)
        notebook = chapter.notebook()  # read before it is checked: an edit may come in between
        source = sources.source_hash(chapter, task.parameters)
        now = sources.imported_code(chapter, task.parameters)
        then = now if preload.IMPORTED is None else preload.IMPORTED
        if source == task.source and now.items() <= then.items():
            Registry.counted = sources.named(chapter, task.parameters)
            notebook.cells = [
                cell
                for cell in notebook.cells
                if sources.UNRECORDED.isdisjoint(cell.metadata.get("tags", ()))
            ]
            return chapter, notebook
    except (OSError, ValueError) as error:  # no longer a chapter
        problem = f" ({error})"
    raise SourceChanged(
        f"the chapter or mdlib is another one than when the sweep was started{problem}: was it "
        f"edited, or is it not the same on this machine? Start the sweep again"
    )


def _execute(task: Task, chapter: Chapter, notebook: Any, stopped: threading.Event) -> Outcome:
    from papermill.iorw import papermill_io

    from mdlib.sweep import kernel

    papermill_io.register("/", plan.WholeNotebooks())
    logging.getLogger("traitlets").setLevel(logging.CRITICAL)  # what it says, we report
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # forks draw the same random numbers; new processes do not
    folder, started, parameters = Path(task.folder), time.time(), dict(task.parameters)
    clock, code = time.monotonic(), provenance.commit(chapter=chapter.path)
    if "out" in parameters:
        parameters["out"] = str(folder)
    state, cause, message, metrics = "done", "", "", {}
    before = set(sys.modules)
    try:
        execution.execute(chapter, parameters, folder, False, None, kernel.engine(), notebook)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is complete, a word to stop comes late
        new = [sys.modules[name] for name in sys.modules.keys() - before]
        if late := sources.left_out(chapter, new):
            raise RuntimeError(
                f"it imported {', '.join(late)}, which no text of it names, so the hash of its "
                f"sources leaves that out: write the whole name there, as its folder has it"
            )
        if (folder / results.METRICS).exists():
            metrics = results.read_metrics(folder)[-1]
        _describe(folder, parameters, started, code)
    except BaseException as error:  # whatever stopped it, its user wants the name
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        state = "stopped" if stopped.is_set() else "failed"
        cause, message = execution.reason(error)
        with suppress(Exception):  # a courtesy: the failure is the news
            _describe(folder, parameters, started, code)
    seconds = round(time.monotonic() - clock, 2)
    return Outcome(task.number, state, cause, message, seconds, metrics=metrics)


def _describe(
    folder: Path, parameters: dict[str, Any], started: float, code: tuple[str, bool | None]
) -> None:
    device = str(parameters.get("device", "cpu"))
    with warnings.catch_warnings(action="ignore"):  # the chapter may have made errors of them
        write_json(folder / plan.ENVIRONMENT, provenance.environment(device, started, code))
