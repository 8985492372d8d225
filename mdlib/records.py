"""What a run leaves behind in numbers: its metrics and its environment.

Every file is written whole or not at all. Nothing heavy is imported before it is needed, so a
chapter can record its numbers without waiting for a plotting or a notebook library.
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdlib._files import written_whole

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]  # flat: name → number, string, bool or None

METRICS = "metrics.json"
PACKAGES = (
    *("mdlib", "torch", "torchvision", "numpy", "scipy", "scikit-learn", "pandas", "matplotlib"),
    *("papermill", "jupytext", "ipykernel"),
)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write `value` as JSON, whole or not at all.

    Raises ValueError for NaN or infinity, TypeError for what JSON cannot hold.
    """
    text = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False)
    with written_whole(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON file.

    Raises FileNotFoundError if it is missing, ValueError if it is truncated or no JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is truncated or no JSON ({error}): make it again") from None


def record(out: str | os.PathLike, rows: Any = None, **metrics: Any) -> list[Row]:
    """Append rows of metrics to ``out/metrics.json`` and return the rows that were added.

    Args:
        out: the run's folder; "" (a chapter run interactively) writes nothing.
        rows: a dict, a list of dicts, or a pandas DataFrame (its index is kept only if named).
        metrics: further metrics, which form one row of their own.

    Raises:
        ValueError: nothing to record, a name that is no string, a value that is NaN, infinite or
            no scalar (the metric is named), or an unreadable ``metrics.json`` (it is left alone).
    """
    added = [_flat(row) for row in _rows(rows)] + ([_flat(metrics)] if metrics else [])
    if not added:
        raise ValueError("nothing to record: give rows, or metrics as keywords")
    if out != "":
        path = Path(out, METRICS)
        write_json(path, (read_metrics(out) if path.exists() else []) + added)
    return added


def read_metrics(folder: str | os.PathLike) -> list[Row]:
    """The rows that a run recorded.

    Raises FileNotFoundError if it recorded none, ValueError if the file is damaged.
    """
    path = Path(folder, METRICS)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: the run recorded nothing, or has not come to it yet"
        )
    rows = read_json(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path} holds no list of rows: it was not written by mdlib.record")
    return rows


def mean_std(rows: Any, by: str | list[str] = "method") -> pd.DataFrame:
    """The table of results: "mean ± std" of every numeric column over a group's rows, and their n.

    Args:
        rows: a DataFrame, or the rows of `read_metrics`; a column "seed" is left out.
        by: the column that names the groups, which keep their order; or several.

    A group of one row has no spread, and its cells say so: "mean ± ?".
    """
    import pandas as pd

    frame = pd.DataFrame(rows)
    names = [by] if isinstance(by, str) else by
    groups = frame.groupby(by, sort=False, dropna=False)
    numbers = frame.select_dtypes("number").columns.drop(["seed", *names], errors="ignore")
    table = groups[list(numbers)].agg(
        lambda x: f"{x.mean():.3f} ± {x.std():.3f}".replace("nan", "?")
    )
    return table.assign(n=groups.size())


def _rows(rows: Any) -> Iterable[Mapping]:
    if rows is None:
        return []
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):  # a DataFrame, without importing it
        if any(name is not None for name in rows.index.names):
            rows = rows.reset_index()
        if not rows.columns.is_unique:
            raise ValueError(f"two columns have one name: {list(rows.columns)}")
        return rows.to_dict("records")
    return [rows] if isinstance(rows, Mapping) else rows


def _flat(row: Any) -> Row:
    if not isinstance(row, Mapping):
        raise ValueError(f"a row is a dict of metrics, not {type(row).__name__}: {row!r}")
    return {_name(name): _scalar(name, value) for name, value in row.items()}


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise ValueError(f"metric {name!r} has a name that is no string")
    return name


def _scalar(name: str, value: Any) -> Any:
    """`value` as a plain Python scalar; numpy's and torch's are converted."""
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(
            f"metric {name!r} is {value}: record finite numbers, or None for 'no value'"
        )
    if value is not None and not isinstance(value, (bool, int, float, str)):
        kind = type(value).__name__
        raise ValueError(f"metric {name!r} is a {kind}, not a number, string, bool or None")
    return value


def environment(device: str = "cpu", started: float | None = None) -> dict[str, Any]:
    """Where and with what a run was made. Holds no host name, user name or path: it is published.

    Args:
        device: where the run computed: "cpu", "cuda", "cuda:1", "mps" or "auto".
        started: ``time.time()`` at its start, to report the seconds since then.
    """
    now = time.time()
    device = _resolved(str(device))
    commit, dirty = _commit(Path(__file__).parent)
    return {
        "date": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        "seconds": None if started is None else round(now - started, 1),
        "device": device,
        "device_name": _device_name(device),
        "threads": _threads(),
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _resolved(device: str) -> str:
    """What "auto" means here. torch takes seconds to import: ask it only if it could say more."""
    nodes = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
    accelerated = sys.platform != "linux" or any(map(os.path.exists, nodes))
    if device != "auto":
        return device
    if not accelerated and "torch" not in sys.modules:
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and (found := re.search(r"model name\s*: (.+)", cpuinfo.read_text())):
        return found[1]
    return platform.processor() or platform.machine()


def _threads() -> int:
    if torch := sys.modules.get("torch"):
        return torch.get_num_threads()
    if (count := os.environ.get("OMP_NUM_THREADS", "")).isdigit():
        return int(count)
    # Python ≥ 3.13 and Linux know how many cores this process may use; elsewhere, all of them
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _commit(folder: Path) -> tuple[str, bool | None]:
    """Commit of the checkout that holds `folder`, and whether anything in it was changed since."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
        return done.stdout.strip()

    try:
        git(
            "ls-files", "--error-unmatch", "__init__.py"
        )  # not merely installed inside some checkout
        return git("rev-parse", "HEAD"), git("status", "--porcelain") != ""
    except (OSError, subprocess.SubprocessError):
        return "unknown", None
