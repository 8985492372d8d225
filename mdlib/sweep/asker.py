"""Who asks for a run: has it performed in a process of its own, and always gets an outcome.

One forkserver of the standard library's serves all runs that import the same, with as many threads.
Each run has a pipe of its own to its asker: the task goes one way, the outcome the other, and if
either end dies the other one notices.
"""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import signal
import socket
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from pathlib import Path

from mdlib.io import environment
from mdlib.sweep import plan, preload
from mdlib.sweep.performer import Performance
from mdlib.sweep.task import Outcome, SourceChanged, Task

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
START = 120.0  # seconds more than a run's time limit for what all runs import
_lock = threading.Lock()
_servers: dict[tuple, forkserver.ForkServer] = {}
_live: dict[_Process, Task] = {}
_stopping: set[str] = set()  # sweeps that were let go


class Lost(RuntimeError):
    """The process that performed a run is gone without a word."""


def execute(task: Task) -> Outcome:
    """Have a run performed in a process of its own; wait for it, kill it at its time limit.

    Returns its outcome; that of a run that is done already without doing it again. Never raises.
    """
    started, folder = time.monotonic(), Path(task.folder)
    process, cause, message = None, "", ""
    try:
        if outcome := plan.earlier(folder, task.number):
            return outcome
        with _one_gpu(task) as variables:
            process = _begin(replace(task, variables=task.variables | variables))
            outcome = process.outcome(task.time_limit)
            if outcome.cause == SourceChanged.__name__:
                _forget_server(task, process.server)  # its modules may be of another time
            return outcome
    except TimeoutError as error:
        cause = "TimeLimit"
        message = str(error) or f"it took more than {task.time_limit:g} s and was killed"
    except Lost as error:
        cause, message = "ProcessDied", str(error)
    except Exception as error:
        cause, message = type(error).__name__, str(error)
    finally:
        if process:
            process.kill()  # if it has ended by itself, nothing is left to kill
            process.close()
    state = "stopped" if _is_stopping(task) else "failed"
    seconds, attempt = round(time.monotonic() - started, 2), max(1, plan.attempts(folder))
    outcome = Outcome(task.number, state, cause, message, seconds, attempt)
    with suppress(OSError, plan.Busy), plan.locked(folder / plan.LOCK, patience=5):
        if plan.done(folder):
            return replace(outcome, state="done", cause="", message="")  # died with all complete
        if state == "failed" or (folder / plan.PARAMS).exists():  # it had begun
            plan.end(folder, outcome, task.chapter)
    return outcome


def interrupt(sweep: str, kill: bool = False) -> None:
    """Stop the runs of a sweep, by an interrupt or, with `kill`, at once; no other of it begins."""
    with _lock:
        _stopping.add(sweep)
        for key in [*_servers]:  # if it stops for an edit, they may have imported that
            _stop_server(key)
        for process, task in _live.items():
            if _is_stopping(task):
                process.kill() if kill else process.stop()


def _is_stopping(task: Task) -> bool:
    return task.sweep in _stopping


def _begin(task: Task) -> _Process:
    """A process that performs the task; Lost if even a second forkserver could not give one."""
    key = _key(task)
    for _ in (1, 2):
        with _lock:
            if _is_stopping(task):
                raise InterruptedError("stopped before it began")
            if key not in _servers:  # also when an edit made the old one's modules old
                _end_servers()
            server = _servers.setdefault(key, forkserver.ForkServer())
            try:
                process = _Process(server, task)
            except OSError as error:
                reason = error
                _servers.pop(key)
                continue
            _live[process] = task
        try:
            patience = task.time_limit and task.time_limit + START
            if not wait([process.status], patience):
                raise TimeoutError(f"what it imports was not imported within {patience:g} s")
            process.pid = forkserver.read_signed(process.status)
            return process
        except (OSError, EOFError) as error:
            process.close()
            _forget_server(task, server)
            if isinstance(error, TimeoutError):
                raise
            reason = error
    raise Lost(
        f"no process could be started ({reason!r}): does a module that it imports end the process?"
    )


def _key(task: Task) -> tuple:
    """Tasks of one key share a forkserver."""
    return task.imported, task.threads, task.modules


def _forget_server(task: Task, server: forkserver.ForkServer) -> None:
    with _lock:
        if server is _servers.get(_key(task)):
            _stop_server(_key(task))


def _end_servers() -> None:
    """Be rid of forkservers, unless a run of theirs is going on."""
    for key in [*_servers]:
        if not any(_key(task) == key for task in _live.values()):
            _stop_server(key)


def _stop_server(key: tuple) -> None:
    """End a forkserver, if there is one; its runs go on."""
    if server := _servers.pop(key, None):
        with suppress(OSError, TypeError):
            os.kill(server._forkserver_pid, signal.SIGKILL)  # ty: ignore[missing-attribute]
            server._stop()  # ty: ignore[missing-attribute]  private, so its stub leaves it out


class _Process:
    """A run's process, from outside."""

    def __init__(self, server: forkserver.ForkServer, task: Task):
        self.server = server
        ours, theirs = socket.socketpair()
        with theirs, _variables(task):
            server.set_forkserver_preload([preload.__name__])
            server.ensure_running()
            self.status, data = server.connect_to_new_process([theirs.fileno()])
        self.pid: int | None = None
        self.pipe = Connection(ours.detach())
        with suppress(BrokenPipeError), open(data, "wb") as file:
            pickle.dump({}, file)  # nothing to prepare: no other __main__, no other folder
            pickle.dump(Performance(task), file)

    def outcome(self, seconds: float | None) -> Outcome:
        """What the run came to. Raises TimeoutError after so many seconds, Lost if it died."""
        code = None
        # both: what a chapter forked may hold the pipe open after the run's own process has died
        ready = wait([self.pipe, self.status], seconds)
        if self.status in ready and not self.pipe.poll():
            with suppress(OSError, EOFError):
                code = forkserver.read_signed(self.status)
            if code is None:  # it is the forkserver that is gone; the run goes on
                ready = wait([self.pipe], seconds)
        if not ready:
            raise TimeoutError
        try:
            if code is None:
                return self.pipe.recv()
        except (EOFError, OSError):
            with suppress(OSError, EOFError):  # the forkserver may be gone too
                if wait([self.status], timeout=5):
                    code = forkserver.read_signed(self.status)
        raise Lost(_why(code))

    def stop(self) -> None:
        """Ask it to interrupt its chapter, save and end."""
        with suppress(OSError):
            self.pipe.send("stop")

    def kill(self) -> None:
        """End it and all that it started, at once."""
        if self.pid:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Forget it; if it still lives, it dies of this."""
        with _lock:
            _live.pop(self, None)
        with suppress(OSError):
            self.pipe.close()
            os.close(self.status)


def _why(code: int | None) -> str:
    """What an exit code of a run's process says, as `os.waitstatus_to_exitcode` has it."""
    if code is None:
        return "its process is gone"
    if code >= 0:
        return f"its process ended with exit code {code}"
    hints = {signal.SIGKILL: ": out of memory?", signal.SIGSEGV: ": a crash in compiled code"}
    names = {number: number.name for number in signal.Signals}  # real-time ones have none
    return f"killed by {names.get(-code, f'signal {-code}')}{hints.get(-code, '')}"


@contextmanager
def _variables(task: Task) -> Generator[None]:
    """The environment that a forkserver is started in; ours again afterwards."""
    # the inline backend is what a kernel sets before matplotlib is imported
    wanted = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    wanted |= {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    # a process that has woken CUDA cannot be forked; asked this way, torch does not wake it
    wanted |= {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
    wanted |= dict.fromkeys(THREADS, str(task.threads)) if task.threads else {}
    path = [os.path.abspath(folder) for folder in sys.path]  # modules are found where we find them
    restore = {"PYTHONPATH": os.environ.get("PYTHONPATH")}
    told = {"chapter": task.chapter, "name": task.name, "modules": task.modules, "path": path}
    wanted |= {"PYTHONPATH": os.pathsep.join(path)}
    wanted |= {preload.VARIABLE: json.dumps(told | {"restore": restore})}
    # it warns if its helper was killed
    with environment(**wanted), warnings.catch_warnings(action="ignore"):
        yield


@lru_cache
def gpus() -> tuple[str, ...]:
    """The CUDA devices that this process may use, MIG's parts each for itself.

    torch is not asked: it takes seconds to wake, and a process that has woken CUDA can't be forked.
    """
    import itertools
    import re
    import subprocess

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:  # CUDA stops at the first that is none, such as -1 or NoDevFiles
        names = (name.strip() for name in visible.split(","))
        return tuple(itertools.takewhile(re.compile(r"\d+|(GPU|MIG)-.+").fullmatch, names))
    listed = ""
    for program in ("nvidia-smi", "/usr/lib/wsl/lib/nvidia-smi"):  # WSL has no /dev/nvidia0
        with suppress(OSError, subprocess.SubprocessError):
            ran = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=30)
            listed = ran.stdout
            break
    found: list[str] = []
    for gpu in re.split(r"^(?=GPU \d+:)", listed, flags=re.MULTILINE):
        if number := re.match(r"GPU (\d+):", gpu):
            found += re.findall(r"UUID: (MIG-[^)]+)", gpu) or [number[1]]
    return tuple(found)


@contextmanager
def _one_gpu(task: Task) -> Generator[dict[str, str]]:
    """The variable that shows a run one GPU: the first that no other run of this machine uses.

    Other runs are known by a lock in the temporary folder, so it does not matter which worker, or
    which sweep, asked for them. If all are in use, they are shared in turn.
    """
    wanted = task.parameters.get("device", "auto")  # cpu wants none, and cuda:1 says which
    devices = gpus() if wanted in ("auto", "cuda") else ()
    if not devices:
        yield {}
        return
    chosen = devices[task.number % len(devices)]
    with ExitStack() as files:
        for device in devices:
            path = Path(tempfile.gettempdir(), f"mdlib-gpu-{os.getuid()}-{device}.lock")
            file = files.enter_context(open(path, "a"))
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                chosen = device
                break
        yield {"CUDA_VISIBLE_DEVICES": chosen}
