"""Where a sweep's runs lie on disk: one folder a run, and what each folder's state is.

The folder's name is a hash of the run's parameters, a dash, and a hash of the sources (the
chapter's code and what it imports), so it says by itself what would be found there. `status` is
written last; a run without one is not done, whatever else it left.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mdlib.io import atomic_write, read_json, sha256, write_json
from mdlib.notebook import results
from mdlib.notebook.execution import ENVIRONMENT, FAILED, NOTEBOOK, PARAMS
from mdlib.sweep.task import Outcome

STATUS, LOG, LOCK = "status", "log.jsonl", ".lock"
_WITNESSES = (results.METRICS, NOTEBOOK, FAILED, ENVIRONMENT)  # their checksums are in the status
_MADE_ANEW = (STATUS, *_WITNESSES)  # by each attempt at a run

_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK)


class Busy(RuntimeError):
    """Somebody else is at work in that folder."""


def run_name(parameters: dict[str, Any], source: str) -> str:
    """The name of a run's folder."""
    text = json.dumps(parameters, sort_keys=True, ensure_ascii=False)
    return f"{hashlib.sha256(text.encode()).hexdigest()[:12]}-{source}"


def place(chapter: str) -> str:
    """Where a chapter is: below ``notebooks/``, wherever the book lies; else its whole path."""
    return chapter.rpartition("/notebooks/")[2]


def read_status(folder: Path) -> dict[str, Any] | None:
    """The status of a run, or None if there is none, or none that is true.

    A done run whose metrics, notebook or environment are not the ones that its status saw is not
    done; nor is one whose status was written in another run's folder.
    """
    try:
        status = read_json(folder / STATUS)
        if status["files"] != _witnesses(folder) or status["state"] not in ("done", "failed"):
            return None
        if status.get("run", folder.name) != folder.name:
            return None
        if status["state"] == "done" and not {NOTEBOOK, ENVIRONMENT} <= status["files"].keys():
            return None
        datetime.fromisoformat(status["ended"])
        return status if isinstance(status["seconds"], (int, float)) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _witnesses(folder: Path) -> dict[str, str]:
    return {name: sha256(folder / name) for name in _WITNESSES if (folder / name).is_file()}


def write_status(folder: Path, state: str, **facts: Any) -> dict[str, Any]:
    """Say how a run ended: the last file that is written."""
    ended = datetime.now(UTC).isoformat(timespec="seconds")
    status = {"state": state, "run": folder.name, "ended": ended, **facts}
    status["files"] = _witnesses(folder)
    write_json(folder / STATUS, status)
    return status


def done(folder: Path) -> dict[str, Any] | None:
    """The status of a run that is done, else None."""
    status = read_status(folder)
    return status if status and status["state"] == "done" else None


def earlier(folder: Path, number: int) -> Outcome | None:
    """What a run came to that is done already, else None."""
    if status := done(folder):
        return Outcome(number, "done", seconds=status["seconds"], attempt=attempts(folder))
    return None


def end(folder: Path, outcome: Outcome, chapter: str) -> None:
    """Log how an attempt ended, then write its status; a stopped run has none.

    The notebook of one that failed is not called as that of one that is done.
    """
    event = {"done": "end", "failed": "failure"}.get(outcome.state, "stop")
    facts: dict[str, Any] = {"attempt": outcome.attempt, "seconds": outcome.seconds}
    if outcome.cause:
        facts |= {"cause": outcome.cause, "message": outcome.message}
    log(folder, event, **facts)
    if outcome.state == "failed" and (folder / NOTEBOOK).exists():
        os.replace(folder / NOTEBOOK, folder / FAILED)
    if outcome.state != "stopped":
        write_status(folder, outcome.state, chapter=place(chapter), **facts)


def executed(folder: Path) -> Path:
    """The notebook of a run that is not done, or where it would be."""
    return folder / (NOTEBOOK if (folder / NOTEBOOK).exists() else FAILED)


def attempts(folder: Path) -> int:
    """How often a run was begun."""
    return sum(event.get("event") == "start" for event in read_log(folder))


def log(folder: Path, event: str, **facts: Any) -> None:
    """Append one event to the run's log."""
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **facts}
    with open(folder / LOG, "a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
        start = b"" if file.read(1) in (b"", b"\n") else b"\n"  # after a line that was cut short
        text = json.dumps(line, ensure_ascii=False)
        file.write(start + text.encode(errors="backslashreplace") + b"\n")


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The events of a run; a line that a crash cut short, or that is none, is passed over."""
    events = []
    path = folder / LOG
    for line in path.read_bytes().splitlines() if path.exists() else []:
        with suppress(ValueError):
            events.append(json.loads(line))
    return [event for event in events if isinstance(event, dict)]


def prepare(folder: Path, parameters: dict[str, Any]) -> None:
    """Make a run's folder ready for one more attempt.

    What an attempt makes anew goes, the status first; checkpoints and the log stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in [*(folder / name for name in _MADE_ANEW), *folder.glob(".*.tmp")]:
        path.unlink(missing_ok=True)
    write_json(folder / PARAMS, parameters)


def listing(out: Path) -> dict[str, list[str]]:
    """The folders of runs in `out`, by the first half of their names: who lists once needs no more
    than one look at a folder of ten thousand."""
    found: dict[str, list[str]] = {}
    for name in sorted(os.listdir(out)) if out.is_dir() else []:
        parameters, dash, _ = name.partition("-")
        if dash:
            found.setdefault(parameters, []).append(name)
    return found


def stale_runs(out: Path, name: str, chapter: str, there: dict[str, list[str]]) -> list[Path]:
    """Done runs of the same chapter and parameters as the run `name`, but of other sources; newest
    last. `there` is the `listing` of `out`.
    """
    same = [out / other for other in there.get(name.partition("-")[0], []) if other != name]
    found = {path: status for path in same if (status := done(path))}
    mine = place(chapter)
    found = {p: status for p, status in found.items() if status.get("chapter", mine) == mine}
    return sorted(found, key=lambda path: found[path]["ended"])


def states(out: Path, names: Iterable[str], chapter: str) -> list[str]:
    """Each run's "done", "failed", "running", "stale" (done, but with other sources), "waiting"."""
    there = listing(out)
    return [_state(out, name, chapter, there) for name in names]


def _state(out: Path, name: str, chapter: str, there: dict[str, list[str]]) -> str:
    same = there.get(name.partition("-")[0], [])
    if name in same:
        if status := read_status(out / name):
            return status["state"]
        if (out / name / LOCK).exists() and not _is_free(out / name / LOCK):
            return "running"
    return "stale" if stale_runs(out, name, chapter, there) else "waiting"


def _is_free(path: Path) -> bool:
    try:
        with locked(path):
            return True
    except Busy:
        return False
    except OSError:  # this file system has no locks: nobody can hold one
        return True


@contextmanager
def locked(path: Path, patience: float = 0.0) -> Generator[None]:
    """Hold a file's lock, which the system takes away from whoever dies.

    Raises Busy if somebody else holds it for more than `patience` seconds, OSError where the file
    system has no locks.
    """
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience
    with open(path, "a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno in _NO_LOCKS:
                    raise OSError(
                        error.errno,
                        f"the file system of {path.parent} has no locks (flock: "
                        f"{os.strerror(error.errno)}): choose another --out, or have it mounted "
                        f"with them (Lustre: -o flock)",
                    ) from None
                if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EINTR):
                    raise
                if time.monotonic() >= deadline:
                    raise Busy(f"{path.parent} is in use by another process") from None
                time.sleep(0.05)
        yield


class WholeNotebooks:
    """Papermill's way to local files, but each save is a new file put in the old one's place."""

    def read(self, path: str) -> str:
        return Path(path).read_text(encoding="utf-8")

    def listdir(self, path: str) -> list[str]:
        return [os.path.join(path, name) for name in os.listdir(path)]

    def write(self, buf: str, path: str) -> None:
        with atomic_write(path) as temporary:
            temporary.write_text(buf, encoding="utf-8")

    def pretty_path(self, path: str) -> str:
        return path
