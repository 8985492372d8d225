"""What a sweep's forkserver imports: all that its runs need, once, before the first of them.

Starting Python and importing torch, pandas and the notebook tools takes seconds, often more than a
run itself. The forkserver (the standard library's) does it once and forks for each run. It has one
thread and has computed nothing, so a fork of it is as good as a new process.

It is told what to import by an environment variable, since it imports this module by its name.
`IMPORTED` says of the chapter's modules which code they had when they were imported.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import sys
from contextlib import suppress

VARIABLE = "MDLIB_SWEEP_PRELOAD"
# What every run needs; what the chapter itself imports comes on top.
NEEDED = (
    *("papermill", "jupytext", "nbclient", "ipykernel.kernelapp", "ipykernel.inprocess.ipkernel"),
    *("ipykernel.zmqshell", "ipykernel.debugger", "tornado.platform.asyncio", "pdb", "psutil"),
    *("IPython.core.completerlib", "IPython.extensions.storemagic", "IPython.core.debugger"),
    *("mdlib.notebook.execution", "mdlib.sweep.kernel", "mdlib.sweep.performer"),
)
# What modules import only when they are used, and take seconds to.
LATER = {"mdlib.training": "torch._dynamo", "mdlib.data": "sklearn.datasets"}
IMPORTED: dict[str, str] | None = None


def _preload(chapter: str, name: str, modules: list[str], path: list[str]) -> dict[str, str]:
    from mdlib.notebook.chapters import Chapter
    from mdlib.sweep import sources

    found = Chapter(chapter, name)
    # the user's own modules lie beside the chapter, and it is there that its kernel looks
    sys.path[:] = [str(found.path.parent), *path]
    later = [LATER[module] for module in modules if module in LATER]
    for module in (*NEEDED, *modules, *later):
        # the chapter will meet it again, and say so in its notebook
        with suppress(Exception, SystemExit):
            importlib.import_module(module)
    sys.path[:] = path
    nbformat = importlib.import_module("nbformat")
    nbformat.validate(nbformat.v4.new_notebook())  # it compiles its schema at the first call
    imported = sources.imported_code(found)
    gc.collect()
    gc.freeze()  # so that a collection in a fork does not touch, and thereby copy, all memory
    return imported


def _leave(server: int) -> None:
    """End the forkserver, no fork of it, before libraries list what they leak on the terminal."""
    if os.getpid() == server:
        os._exit(0)


if VARIABLE in os.environ:
    told = json.loads(os.environ.pop(VARIABLE))
    with suppress(OSError):
        os.setsid()  # Ctrl-C on a terminal is for the driver alone
    for _name, _value in told.pop("restore").items():
        os.environ.pop(_name, None) if _value is None else os.environ.update({_name: _value})
    try:
        IMPORTED = _preload(**told)
    except (OSError, ValueError):  # edited meanwhile: each run will say so
        IMPORTED = {}
    atexit.register(_leave, os.getpid())  # the last to register is the first to be called
