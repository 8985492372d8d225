"""The run's own process as its chapter's kernel: no second process, no sockets.

Papermill reads, parameterises and saves the notebook, nbclient turns messages into outputs, and
ipykernel executes the cells, as ever; only that a message goes from one to the other by a call
instead of by ZeroMQ. If ipykernel is one that this module does not fit, `engine` is None, and
papermill starts an ordinary kernel.
"""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

NAME = "mdlib-in-process"
_app: Any = None  # a process performs one run, so it has one kernel


def engine() -> str | None:
    """The name of papermill's engine for this process, or None: it can't be a kernel."""
    global _app
    try:
        from papermill.engines import papermill_engines

        _app = _start()
        papermill_engines.register(NAME, _engine_class())
    except Exception as error:  # another ipykernel, which has other names for things
        _app = None
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        print(f"mdlib: an ordinary kernel is started for each run: {error!r}", file=sys.stderr)
        return None
    return NAME


def interrupt_children() -> None:
    """Where the kernel is a process of its own, an interrupt has to go there too."""
    import psutil

    if _app is None:
        for child in psutil.Process().children():
            with suppress(psutil.NoSuchProcess):
                child.send_signal(signal.SIGINT)


def _start() -> Any:
    """ipykernel's application, all but its sockets."""
    import ipykernel_launcher
    from ipykernel.inprocess.ipkernel import InProcessKernel
    from ipykernel.inprocess.socket import DummySocket
    from ipykernel.iostream import IOPubThread
    from ipykernel.kernelapp import IPKernelApp
    from ipykernel.zmqshell import ZMQInteractiveShell

    class Kernel(InProcessKernel):
        hear = None  # what to do with a message
        # ipykernel 7 asks this thread for its parent at each `await` in a cell, although an
        # in-process kernel has none; of what else it is for, we say that there is nothing
        _supports_kernel_subshells = False
        shell_channel_thread = SimpleNamespace(parent_thread=threading.main_thread())

        def _io_dispatch(self: Any, change: Any) -> None:  # on ipykernel's thread for outputs
            _, message = self.session.recv(self._underlying_iopub_socket, copy=False)
            if self.hear:
                self.hear(message)

    class App(IPKernelApp):
        def nothing(self, *_: Any) -> None:
            pass

        init_connection_file = init_poller = init_heartbeat = init_signal = nothing
        write_connection_file = log_connection_info = nothing

        def init_sockets(self) -> None:
            self.outputs = DummySocket()
            self.configure_tornado_logger()
            self.iopub_thread = IOPubThread(self.outputs, session=self.session)
            self.iopub_thread.start()
            self.iopub_socket = self.iopub_thread.background_socket

        def init_kernel(self) -> None:
            self.kernel = Kernel.instance(
                parent=self,
                session=self.session,
                shell_class=ZMQInteractiveShell,
                iopub_thread=self.iopub_thread,
                iopub_socket=self.iopub_socket,
                _underlying_iopub_socket=self.outputs,
                stdout=sys.stdout,
                stderr=sys.stderr,
                log=self.log,
                profile_dir=self.profile_dir,
                user_ns=self.user_ns,
            )
            self.displayhook.get_execution_count = lambda: self.kernel.execution_count

    words = ["-f", "none", "--log-level=CRITICAL"]
    sys.argv = [str(ipykernel_launcher.__file__), *words]  # as chapters see it elsewhere
    app = App.instance()
    app.initialize([*words, "--HistoryManager.enabled=False"])  # no file for all runs
    return app


def _engine_class() -> type:
    from jupyter_core.utils import run_sync
    from nbclient.exceptions import CellExecutionComplete
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import Engine

    class Client(PapermillNotebookClient):
        """Papermill's client; a message to the kernel is a call that returns with the reply."""

        session = property(lambda self: _app.session)  # with `send`, a widget's way to the kernel

        def execute(self) -> Any:
            self.reset_execution_trackers()
            self.kc, self.sent = self, []  # ty: ignore[invalid-assignment]  has what is asked of it
            self.papermill_execute_cells()
            info = run_sync(self.ask)(_app.session.msg("kernel_info_request"))
            self.nb.metadata["language_info"] = info["content"]["language_info"]
            self.set_widgets_metadata()
            return self.nb

        @property
        def shell_channel(self) -> Client:
            return self

        def send(self, message: dict[str, Any]) -> None:
            self.sent.append(message)

        async def ask(self, message: dict[str, Any], hear: Any = lambda message: None) -> Any:
            """The kernel's reply, after `hear` was called with each output."""
            kernel, idle, errors = _app.kernel, threading.Event(), []

            def listen(said: dict[str, Any]) -> None:
                if said["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                    return
                try:
                    hear(said)
                except CellExecutionComplete:
                    pass
                except Exception as error:  # such as a full disk; it is for the main thread
                    errors.append(error)
                if said["content"].get("execution_state") == "idle":
                    idle.set()

            kernel.hear = listen
            kernel.session.send(kernel.shell_stream, message)
            await kernel.dispatch_shell(kernel.shell_stream.recv_multipart())
            idle.wait()
            if errors:
                raise errors[0]
            if kernel.shell_stream.queue.empty():  # a message of a widget's has no reply
                return None
            return kernel.session.recv(kernel.shell_stream, copy=False)[1]

        async def async_execute_cell(self, cell: Any, cell_index: int, **_: Any) -> Any:
            if cell.cell_type != "code" or not cell.source.strip():
                return cell
            if _app.shell.exit_now:  # exit() in the cell before
                raise RuntimeError("exit: the chapter ended itself before its last cell")
            cell.outputs, cell.metadata["execution"] = [], {}
            self.clear_before_next_output = False
            self.code_cells_executed += 1
            content = {"code": cell.source, "silent": False, "store_history": True}
            content |= {"user_expressions": {}, "allow_stdin": False, "stop_on_error": True}
            reply = await self.ask(
                _app.session.msg("execute_request", content),
                lambda message: self.process_message(message, cell, cell_index),
            )
            while self.sent:
                await self.ask(self.sent.pop(0))
            if reply is None:  # an exception that can't be printed, or an interrupt between steps
                errors = [output for output in cell.outputs if output.output_type == "error"]
                if not errors:
                    raise KeyboardInterrupt
                reply = {"content": {"status": "error", **errors[0]}}
            await self._check_raise_for_error(cell, cell_index, reply)
            return cell

        execute_cell = run_sync(async_execute_cell)

    class InProcess(Engine):
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **_: Any) -> Any:
            return Client(nb_man, kernel_name=kernel_name).execute()

    return InProcess
