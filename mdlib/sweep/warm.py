"""A warm process: it has imported what chapters import, and becomes a copy of itself for each run.

Starting Python and importing torch, pandas and the notebook tools takes seconds, often more than a
run itself. The warm process does it once and then only forks. It has one thread and has computed
nothing, so a copy of it is as good as a new process, except that its modules are there already.

Each run has a socket of its own between the one who asked for it and the process that performs it:
the task goes one way, the outcome the other, and if either end dies the other one notices.
"""

from __future__ import annotations

import ast
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

# What every run needs; what the chapter itself imports comes on top.
NEEDED = (
    *("papermill", "jupytext", "nbclient", "ipykernel.kernelapp", "ipykernel.zmqshell"),
    *("ipykernel.ipkernel", "ipykernel.debugger", "tornado.platform.asyncio"),
    *("IPython.core.completerlib", "IPython.extensions.storemagic", "jupyter_client.asynchronous"),
    *("pdb", "psutil", "IPython.core.debugger", "jupyter_client.localinterfaces"),
    *("mdlib.notebook.execution", "mdlib.sweep.kernel", "mdlib.sweep.worker"),
)
# What modules import only when they are used, and take seconds to.
LATER = {"mdlib.training": "torch._dynamo", "mdlib.data": "sklearn.datasets"}
STOP = b"stop\n"


class Lost(RuntimeError):
    """The process that performed a run is gone without a word."""


class Process:
    """The asker's side of one run: its process group, and the socket to it."""

    def __init__(self, channel: socket.socket, pid: int):
        self.channel, self.pid = channel, pid

    def outcome(self, seconds: float | None) -> dict[str, Any]:
        """What the run came to. Raises TimeoutError after so many seconds, Lost if it died."""
        self.channel.settimeout(seconds)
        try:
            return json.loads(_line(self.channel))
        except (ValueError, ConnectionError):
            raise Lost("its process was killed, or crashed") from None

    def stop(self) -> None:
        """Ask it to interrupt its kernel, save and end."""
        with suppress(OSError):
            self.channel.sendall(STOP)

    def kill(self) -> None:
        """End it and all that it started, at once."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.channel.close()


class Warm:
    """The warm process, seen from outside: started when first needed, and again if it was lost.

    Args:
        threads: how many each run may use; it has to be known before torch is imported. None
            leaves it to the environment.
        modules: what to import; those that cannot be imported are left to the chapter.
    """

    def __init__(self, threads: int | None = None, modules: tuple[str, ...] = ()):
        self.threads, self.modules, self.lock = threads, modules, threading.Lock()
        self.server: subprocess.Popen | None = None
        self.socket: socket.socket | None = None

    def start(self, task: dict[str, Any]) -> Process:
        """A fork that performs `task`; Lost if even a second warm process could not give one."""
        for attempt in (1, 2):
            ours, theirs = socket.socketpair()
            try:
                with self.lock, theirs:
                    self._serve()
                    socket.send_fds(self.socket, [b"r"], [theirs.fileno()])
                ours.sendall(json.dumps(task).encode() + b"\n")
                return Process(ours, json.loads(_line(ours)))
            except (OSError, ValueError) as error:
                ours.close()
                with self.lock:
                    code = self._end()
                if attempt == 2:
                    raise Lost(f"no process could be started (exit code {code})") from error
        raise AssertionError

    def _serve(self) -> None:
        if self.server is not None and self.server.poll() is None:
            return
        self._end()
        ours, theirs = socket.socketpair()
        variables = dict(os.environ)
        # the inline backend is what a kernel sets before matplotlib is imported
        variables |= {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
        variables |= {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        # a process that has woken CUDA cannot be forked; asked this way, torch does not wake it
        variables |= {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
        if self.threads:
            names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
            variables |= dict.fromkeys(names, str(self.threads))
        # modules are found where this process finds them
        code = f"import sys; sys.path[:] = {sys.path!r}; from mdlib.sweep.warm import serve; "
        with theirs:
            self.server = subprocess.Popen(
                [sys.executable, "-c", f"{code}serve({theirs.fileno()}, {self.modules!r})"],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=variables,
                start_new_session=True,  # Ctrl-C is for the driver alone
            )
        self.socket = ours

    def _end(self) -> int | None:
        """Be rid of it; what it has started lives on. Its exit code, if it had ended by itself."""
        code = None
        if self.server:
            code = self.server.poll()
            self.socket.close()
            self.server.kill()
            self.server.wait()
        self.server = self.socket = None
        return code


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
                    found |= dict.fromkeys([node.module, *names])
    return tuple(found)


def serve(fileno: int, modules: tuple[str, ...]) -> None:
    """The life of the warm process: import, then fork for each socket that it is handed."""
    # only these two may stop it: the asker's end, or SIGKILL
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a run's process
    asker = socket.socket(fileno=fileno)
    later = [LATER[module] for module in modules if module in LATER]
    for module in (*NEEDED, *modules, *later):
        with suppress(Exception):  # the chapter will meet it again, and say so in its notebook
            importlib.import_module(module)
    sys.modules["jupyter_client.localinterfaces"].local_ips()  # looked up once, then remembered
    nbformat = importlib.import_module("nbformat")
    nbformat.validate(nbformat.v4.new_notebook())  # it compiles its schema at the first call
    gc.collect()
    gc.freeze()  # so that a collection in a copy does not touch, and thereby copy, all memory
    while True:
        _, fds, _, _ = socket.recv_fds(asker, 1, 1)
        if not fds:
            os._exit(0)
        if os.fork() == 0:
            break
        os.close(fds[0])
    asker.close()
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    channel = socket.socket(fileno=fds[0])
    channel.sendall(b"%d\n" % os.getpid())
    from mdlib.sweep import worker

    outcome = worker.perform(json.loads(_line(channel)), channel)
    with suppress(OSError):
        channel.sendall(json.dumps(outcome).encode() + b"\n")
    os.killpg(0, signal.SIGKILL)  # with whatever the chapter left running


def watch(channel: socket.socket, stopped: Callable[[], None]) -> None:
    """In a run's process: call `stopped` when the asker says so; die if the asker has died."""

    def listen() -> None:
        while True:
            try:
                word = channel.recv(len(STOP))
            except OSError:
                word = b""
            if not word:
                os.killpg(0, signal.SIGKILL)
            stopped()

    threading.Thread(target=listen, daemon=True).start()


def _line(channel: socket.socket) -> bytes:
    """One line; ConnectionError if the other end closes before it is complete."""
    text = b""
    while not text.endswith(b"\n"):
        part = channel.recv(65536)
        if not part:
            raise ConnectionError("the other end is gone")
        text += part
    return text
