"""Files written whole or not at all, JSON, checksums, and the environment of other processes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Read once, while there is no second thread: to ask for it one has to set it.
_UMASK = os.umask(0)
os.umask(_UMASK)


@contextmanager
def atomic_write(path: str | os.PathLike) -> Generator[Path]:
    """Yield a temporary path beside `path`; on success it is flushed to disk and renamed to `path`.

    Whoever reads `path` sees the old file or the new one, never a part of one. If the body raises,
    `path` is left as it was and the temporary file is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_UMASK)  # mkstemp makes it private; give it the usual rights
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # without it a crash may forget the new name
        finally:
            os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def environment(**values: str | None) -> Generator[None]:
    """Environment variables for processes to inherit, for a while; None leaves one as it is."""
    given = {name: value for name, value in values.items() if value is not None}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def expanded(path: str | os.PathLike) -> Path:
    """The path, where ~ is a home folder; ValueError, which names it, for an unknown user's."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"{path}: nobody knows this home folder: write the path out") from None


def read_text(path: str | os.PathLike) -> str:
    """A text file in UTF-8, with or without a byte-order mark, its lines ended by a line feed.

    Raises ValueError, which names the file and the line, if it is in another encoding.
    """
    content = Path(path).read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{content[error.start]:02x}"
        raise ValueError(f"{path}:{line}: {byte} is not UTF-8: save the file as UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def check_no_conflict(path: str | os.PathLike, text: str) -> None:
    """ValueError, with file and line, if Git left a conflict of two versions in its text."""
    if conflict := re.search(r"^<<<<<<< .*$(?s:.*)^>>>>>>> ", text, re.MULTILINE):
        line = text.count("\n", 0, conflict.start()) + 1
        raise ValueError(
            f"{path}:{line}: Git left a merge conflict here: keep one of its two sides"
        )


def sha256(path: str | os.PathLike) -> str:
    """Hex digest of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write `value` as JSON, whole or not at all.

    Raises ValueError for NaN or infinity, TypeError for what JSON cannot hold.
    """
    text = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False)
    with atomic_write(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON file.

    Raises FileNotFoundError if it is missing, ValueError if it is truncated or no JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is truncated or no JSON ({error}): make it again") from None
