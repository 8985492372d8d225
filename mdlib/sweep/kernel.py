"""Kernels that are forked from a warm process instead of started from nothing.

The copy is taken before papermill begins, while the process has one thread and no sockets, and then
waits for the connection file that papermill's kernel manager writes. From there on it is an
ordinary kernel in a process of its own: a crash of it is a dead kernel to papermill, not more.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from typing import Any

from jupyter_client import AsyncKernelClient, AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner
from traitlets import default

NAME = "mdlib-forked"


class Child:
    """A forked process, with as much of Popen's face as jupyter_client needs."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int):
        self.pid, self.returncode = pid, None

    def poll(self) -> int | None:
        if self.returncode is None:
            with suppress(ChildProcessError):
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self) -> int | None:
        while self.poll() is None:
            os.waitpid(self.pid, 0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class Waiting:
    """A kernel to be: forked here and now, started later, once."""

    current: Waiting | None = None  # a process performs one run, so it has one kernel

    def __init__(self, cleanup: Callable[[], None]):
        reader, self.writer = os.pipe()
        self.ready, ready = os.pipe()  # can be read when the kernel listens, or is dead
        pid = os.fork()
        if pid == 0:
            try:
                os.close(self.writer)
                os.close(self.ready)
                cleanup()
                _become_kernel(reader, ready)
            finally:
                os._exit(1)
        os.close(reader)
        os.close(ready)
        self.child = Child(pid)
        Waiting.current = self

    def start(self, command: list[str], variables: dict[str, str]) -> Child:
        if self.writer is None:
            raise RuntimeError("this run's kernel was started before, and there is only one")
        start = {"argv": command, "cwd": os.getcwd(), "env": variables}
        with os.fdopen(self.writer, "w") as file:
            json.dump(start, file)
        self.writer = None
        return self.child


def _become_kernel(reader: int, ready: int) -> None:
    parent = os.getppid()
    _die_with_parent()
    with os.fdopen(reader) as file:
        text = file.read()
    if not text or os.getppid() != parent:
        return
    start = json.loads(text)
    os.environ.clear()
    os.environ.update(start["env"])
    os.chdir(start["cwd"])
    _seed_anew()
    sys.argv = [find_spec("ipykernel_launcher").origin, *start["argv"]]
    from ipykernel.kernelapp import IPKernelApp

    # the poller ends a kernel whose parent is gone, where the system has no such service
    app = IPKernelApp.instance(parent_handle=parent)
    app.initialize([*start["argv"], "--HistoryManager.enabled=False"])  # no file for all runs
    os.close(ready)
    app.start()


def _die_with_parent() -> None:
    """Linux ends this process when its parent ends; elsewhere the kernel looks for itself."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG


def _seed_anew() -> None:
    """Copies of a process draw the same random numbers; fresh processes do not."""
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()


class ForkedProvisioner(LocalProvisioner):
    """Starts the kernel that waits, where LocalProvisioner starts a process."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict[str, Any]:
        variables = kwargs.get("env") or dict(os.environ)
        waiting = Waiting.current
        self.process = waiting.start(cmd, variables)
        self.pid, self.cwd = self.process.pid, os.getcwd()
        # a client that comes too early tries again only after a while
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(waiting.ready, ready.set)
        await ready.wait()
        loop.remove_reader(waiting.ready)
        os.close(waiting.ready)
        return self.connection_info  # pgid stays None: the group is the whole run's

    async def wait(self) -> int | None:
        while await self.poll() is None:
            await asyncio.sleep(0.005)
        self.process = None
        return 0


class Client(AsyncKernelClient):
    """A client that takes a kernel for ready when its first answer is complete.

    The one it derives from waits for a fifth of a second of silence after that, to be sure.
    """

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        deadline = time.monotonic() + (timeout or float("inf"))
        while time.monotonic() < deadline:
            asked = self.kernel_info()
            with suppress(queue.Empty):
                reply = await self.get_shell_msg(timeout=1)
                while True:
                    said = await self.get_iopub_msg(timeout=0.2)
                    about = said["parent_header"].get("msg_id")
                    if about == asked and said["content"].get("execution_state") == "idle":
                        self._handle_kernel_info_reply(reply)
                        return
            if not await self.is_alive():
                raise RuntimeError("the kernel died before it was ready")
        raise RuntimeError(f"the kernel was not ready after {timeout} seconds")


class _Specs(KernelSpecManager):
    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(
            argv=["-f", "{connection_file}"],
            display_name="Python 3",
            language="python",
            metadata={"kernel_provisioner": {"provisioner_name": NAME}},
        )


class ForkedKernelManager(AsyncKernelManager):
    """A kernel manager for papermill whose kernel is the one in `Waiting.current`."""

    @default("client_factory")
    def _client(self) -> type:
        return Client

    @default("kernel_spec_manager")
    def _only_forked(self) -> KernelSpecManager:
        return _Specs()


# what an installed package says by an entry point, so that a bare checkout has it too
KernelProvisionerFactory.provisioners[NAME] = EntryPoint(
    NAME, f"{__name__}:{ForkedProvisioner.__name__}", KernelProvisionerFactory.GROUP_NAME
)
