"""One run, from both sides: `execute` has it performed and always comes back with an outcome;
`perform` is what happens in the run's own process."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from mdlib.io import write_json
from mdlib.notebook import execution, provenance, results
from mdlib.notebook.chapters import Chapter
from mdlib.sweep import plan
from mdlib.sweep.warm import Lost, Process, Warm, watch

GRACE = 10.0  # seconds that an interrupted run has to save its state
_warm: dict[tuple, Warm] = {}  # by threads and modules; a worker usually needs but one
_live: set[Process] = set()
_lock = threading.Lock()
_stopping = threading.Event()


def execute(task: dict[str, Any]) -> dict[str, Any]:
    """Have a run performed in a process of its own; wait for it, kill it at its time limit.

    Args:
        task: number, chapter and name (of its file, of itself), folder, parameters, time_limit,
            threads, modules (to import beforehand), variables (of its environment).

    Returns:
        The outcome: number, state ("done", "failed", "stopped"), seconds, cause and message. Its
        folder has a `status` then, unless the run was stopped. Never raises.
    """
    started, folder = time.time(), Path(task["folder"])
    process, cause, message = None, "", ""
    try:
        with _lock:
            if _stopping.is_set():
                raise InterruptedError("stopped before it began")
            wanted = task["threads"], tuple(task["modules"])
            warm = _warm.setdefault(wanted, Warm(*wanted))
        process = warm.start(task)
        with _lock:
            _live.add(process)
            if _stopping.is_set():
                raise InterruptedError("stopped before it began")
        outcome = process.outcome(task["time_limit"])
    except TimeoutError:
        cause, message = "TimeLimit", f"it took more than {task['time_limit']:g} s and was killed"
    except Lost as error:
        cause, message = "WorkerLost", str(error)
    except Exception as error:
        cause, message = type(error).__name__, str(error)
    finally:
        if process:
            process.kill()  # if it has ended by itself, nothing is left to kill
            with _lock:
                _live.discard(process)
    if cause:
        outcome = {"state": "failed", "cause": cause, "message": message}
        if _stopping.is_set():
            outcome["state"] = "stopped"
        with suppress(OSError, plan.Busy), plan.locked(folder / plan.LOCK, patience=5):
            if (status := plan.read_status(folder)) and status["state"] == "done":
                outcome = {"state": "done"}  # it died after its work was complete
            else:
                _end(folder, outcome)
    facts = {"cause": "", "message": "", "seconds": round(time.time() - started, 2)}
    return facts | outcome | {"number": task["number"]}


def interrupt_all(kill: bool = False) -> None:
    """Stop the runs that this process has asked for, by an interrupt or, with `kill`, at once."""
    with _lock:
        _stopping.set()
        for process in _live:
            process.stop()
            if kill:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def busy() -> bool:
    """Is any run going on that this process has asked for?"""
    with _lock:
        return bool(_live)


def go_on() -> None:
    """Allow runs again, after `interrupt_all`."""
    _stopping.clear()


def perform(task: dict[str, Any], channel: socket.socket) -> dict[str, Any]:
    """Execute the chapter in this process and a forked kernel, and leave the run's files."""
    folder = Path(task["folder"])
    try:
        with plan.locked(folder / plan.LOCK, patience=GRACE):
            os.environ.update(task["variables"])
            chapter = Chapter(task["chapter"], task["name"])
            if not folder.name.endswith(plan.source_hash(chapter)):
                raise plan.SourceChanged(
                    "the chapter or mdlib is another one than when the sweep was started: was it "
                    "edited, or is it not the same on this machine? Start the sweep again"
                )
            plan.prepare(folder, task["parameters"])
            plan.log(folder, "start", attempt=task["attempt"], pid=os.getpid())
            outcome = _perform(task, chapter, folder, channel)
            _end(folder, outcome)
            return outcome
    except (OSError, plan.Busy, plan.SourceChanged) as error:
        # not a file of the run can be written, or none may be
        return {"state": "failed", "cause": type(error).__name__, "message": str(error)}


def _perform(
    task: dict[str, Any], chapter: Chapter, folder: Path, channel: socket.socket
) -> dict[str, Any]:
    from papermill.iorw import papermill_io

    from mdlib.sweep.kernel import ForkedKernelManager, Waiting

    kernel = Waiting(cleanup=channel.close)  # first of all: afterwards there are threads
    stopped = threading.Event()

    def stop() -> None:
        stopped.set()
        kernel.child.send_signal(signal.SIGINT)

    watch(channel, stop)
    papermill_io.register("/", plan.WholeNotebooks())
    logging.getLogger("traitlets").setLevel(logging.CRITICAL)  # what it says, we report
    started, parameters = time.time(), dict(task["parameters"])
    if "out" in parameters:
        parameters["out"] = str(folder)
    outcome = {"state": "done"}
    try:
        execution.execute(chapter, parameters, folder, False, None, ForkedKernelManager)
        if (folder / results.METRICS).exists():
            outcome["metrics"] = results.read_metrics(folder)[-1:]
        _describe(folder, parameters, started)
    except Exception as error:  # whatever stopped it, the sweep goes on and its user wants the name
        cause, message = execution.reason(error)
        outcome = {"state": "failed", "cause": cause, "message": message}
        if stopped.is_set():
            outcome["state"] = "stopped"
        with suppress(Exception):  # a courtesy: the failure is the news
            _describe(folder, parameters, started)
    return outcome | {"seconds": round(time.time() - started, 2)}


def _describe(folder: Path, parameters: dict[str, Any], started: float) -> None:
    device = str(parameters.get("device", "cpu"))
    write_json(folder / plan.ENVIRONMENT, provenance.environment(device, started))


def _end(folder: Path, outcome: dict[str, Any]) -> None:
    """Log how an attempt ended, then write its status; a stopped run has none."""
    facts = {name: outcome[name] for name in ("cause", "message", "seconds") if name in outcome}
    plan.log(folder, {"done": "end", "failed": "failure"}.get(outcome["state"], "stop"), **facts)
    if outcome["state"] != "stopped":
        plan.write_status(folder, outcome["state"], **facts)
