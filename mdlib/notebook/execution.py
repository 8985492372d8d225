"""Run a chapter: check all that it is given, execute it, leave its files in one folder."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdlib.io import environment, expanded, write_json
from mdlib.notebook import data_checks, html, provenance, results
from mdlib.notebook.chapters import Chapter

NOTEBOOK, PARAMS, ENVIRONMENT = "executed.ipynb", "params.json", "environment.json"
FAILED = "executed.failed.ipynb"  # what NOTEBOOK becomes if the chapter did not come to its end
_LATEST = "latest"  # a link to the newest numbered folder


class ChapterFailed(RuntimeError):
    """A chapter that stopped while running: why, and the notebook executed up to there."""

    code = 1  # the exit code of the command line

    def __init__(self, name: str, cause: str, message: str, notebook: Path):
        super().__init__(f"{name} failed: {cause}: {message}\nExecuted up to there: {notebook}")
        self.cause, self.message, self.notebook = cause, message, notebook


def check(
    chapter: Chapter,
    values: Mapping[str, Any],
    data_root: str | os.PathLike | None = None,
    need_data: bool = True,
) -> dict[str, Any]:
    """All parameters of a run, defaults included, or an error before anything starts.

    Args:
        chapter: whose parameters they are.
        values: those that differ from the defaults.
        data_root: where the data sets lie; None for the usual places.
        need_data: look whether the data set is there.

    Raises:
        ValueError: an unknown parameter, or a value outside of its type and domain.
        ValueError, OSError: a data set that is unknown, missing or damaged.
    """
    checked = chapter.check(values)
    for name, parameter in chapter.parameters.items():
        if parameter.domain.startswith(("data set", "some data sets")):
            several = parameter.domain.startswith("some")  # else a comma belongs to a path
            named = checked[name].split(",") if several else [checked[name]]
            parts = [_from_here(part) for part in named]
            checked[name] = ",".join(parts)
            for part in parts if need_data else ():
                classes = "factors" not in parameter.domain
                data_checks.check(part, checked, data_root, classes)
    return checked


def _from_here(dataset: str) -> str:
    """Of images:PATH the absolute path: it is meant from here, but chapters run in their folder."""
    scheme, colon, folder = dataset.partition(":")
    return f"{scheme}:{absolute(folder)}" if colon and folder else dataset


@dataclass(frozen=True)
class Run:
    """A finished run and where its files are."""

    chapter: Chapter
    parameters: dict[str, Any]
    out: Path
    seconds: float

    failed: bool = False

    @property
    def notebook(self) -> Path:
        return self.out / (FAILED if self.failed else NOTEBOOK)

    @property
    def page(self) -> Path:
        return self.notebook.with_suffix(".html")

    @property
    def metrics(self) -> list[results.Row]:
        """What the chapter recorded; empty if it records nothing."""
        return results.read_metrics(self.out) if (self.out / results.METRICS).exists() else []


def run(
    chapter: Chapter,
    values: Mapping[str, Any],
    out: str | os.PathLike | None = None,
    progress: bool = True,
    data_root: str | os.PathLike | None = None,
    timeout: int | None = None,
) -> Run:
    """Execute a chapter by papermill, in its own folder, and leave in `out`: ``params.json``,
    ``executed.ipynb`` (saved as it goes), ``executed.html``, ``environment.json``, and what the
    chapter itself records there (``metrics.json``). If it fails, notebook and page are called
    ``executed.failed``.

    Args:
        chapter: what to run.
        values: the parameters that differ from its defaults; `out` is none of them.
        out: a new or empty folder; else ``runs/CHAPTER/001``, or the next number.
        progress: show a progress bar on stderr.
        data_root: where the data sets lie; None for the usual places.
        timeout: seconds that one cell may take.

    Raises:
        ValueError, OSError: a bad parameter, a device that is not here, or a non-empty `out`; no
            kernel was started.
        ChapterFailed: a cell raised, ran out of time, or the kernel died.
    """
    if "out" in values:
        raise ValueError("'out' is set by the run: give the folder as --out instead")
    parameters = check(chapter, values, data_root)
    _check_devices(chapter, parameters)
    out = _numbered(Path("runs", chapter.name)) if out is None else Path(out).resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} exists and is not an empty folder: choose another --out")
    started, code = time.time(), provenance.commit(chapter=chapter.path)
    if "out" in parameters:
        parameters["out"] = str(out)
    write_json(out / PARAMS, parameters)

    failure = None
    try:
        data_root = absolute(data_root or os.environ.get("MDLIB_DATA"))
        with environment(MDLIB_DATA=data_root, PYDEVD_DISABLE_FILE_VALIDATION="1"):
            execute(chapter, parameters, out, progress, timeout)
    except BaseException as error:  # whatever stopped it, the reader wants its name and notebook
        if (out / NOTEBOOK).exists():
            os.replace(out / NOTEBOOK, out / FAILED)
        if not isinstance(error, Exception):  # Ctrl-C
            raise
        failure = error
    result = Run(chapter, parameters, out, round(time.time() - started, 1), failure is not None)
    if failure is None:
        _describe(result, started, code)
        return result
    with suppress(Exception):  # after a failure these are a courtesy: the failure is the news
        _describe(result, started, code)
    raise ChapterFailed(chapter.name, *reason(failure), result.notebook) from failure


def _check_devices(chapter: Chapter, parameters: Mapping[str, Any]) -> None:
    """ValueError for a device that is not on this machine, where the kernel will be."""
    for name, parameter in chapter.parameters.items():
        if parameter.domain == "device" and parameters[name] not in ("auto", "cpu"):
            from mdlib.devices import pick_device

            pick_device(parameters[name])


def _numbered(folder: Path) -> Path:
    """A new folder in `folder`: 001, 002, …, with a link ``latest`` to it."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    numbers = [int(path.name) for path in folder.iterdir() if path.name.isdecimal()]
    number = max(numbers, default=0)
    while True:
        number += 1
        new = folder / f"{number:03d}"
        with suppress(FileExistsError):  # another run took it in this moment
            new.mkdir()
            break
    link = folder / f".{_LATEST}-{new.name}"
    with suppress(OSError):  # a file system without links, or somebody's own folder of that name
        link.symlink_to(new.name)
        os.replace(link, folder / _LATEST)
    link.unlink(missing_ok=True)
    return new


def reason(failure: BaseException) -> tuple[str, str]:
    """Name and message of what stopped a chapter: the cell's own exception where there was one."""
    cause = getattr(failure, "ename", type(failure).__name__)
    return cause, getattr(failure, "evalue", str(failure))


def _describe(result: Run, started: float, code: tuple[str, bool | None]) -> None:
    device, chapter = str(result.parameters.get("device", "cpu")), result.chapter
    write_json(result.out / ENVIRONMENT, provenance.environment(device, started, code))
    html.page(result.notebook, result.page, chapter.title, chapter.path.parent)


def absolute(path: str | os.PathLike | None) -> str | None:
    """The path as another process may use it, whatever its folder; None and "" are None.

    ValueError for the home folder of a user that there is not.
    """
    return str(expanded(path).resolve()) if path else None


def execute(
    chapter: Chapter,
    parameters: dict[str, Any],
    out: Path,
    progress: bool,
    timeout: int | None,
    engine: str | None = None,
    notebook: Any = None,
) -> None:
    """Papermill the chapter, or its `notebook` if that was read before, to ``out/executed.ipynb``.

    By papermill's engine of that name; else in a kernel that is a new process of this Python.
    """
    import papermill
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager
    from traitlets import default

    class ThisPython(AsyncKernelManager):
        """Starts ipykernel in the running interpreter, whatever "python3" is installed as."""

        @default("kernel_spec_manager")
        def _no_installed_specs(self):
            return KernelSpecManager(kernel_dirs=[])

    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # what it says, we raise
    executed = papermill.execute_notebook(
        notebook or chapter.notebook(),
        str(out / NOTEBOOK).replace("{", "{{").replace("}", "}}"),  # else, names of parameters
        parameters or None,
        engine_name=engine,
        kernel_name="python3",
        language="python",
        progress_bar={"desc": chapter.name} if progress else False,
        cwd=chapter.path.parent,
        execution_timeout=timeout,
        kernel_manager_class=ThisPython,
        extra_arguments=["--log-level=CRITICAL"],  # the kernel's own remarks, not the chapter's
    )
    code = [c for c in executed.cells if c.cell_type == "code" and c.source.strip()]
    if any(cell.execution_count is None for cell in code):  # papermill thinks well of sys.exit()
        raise RuntimeError("exit: the chapter ended itself before its last cell")
