"""Where and with what a run was made."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = (
    *("mdlib", "torch", "torchvision", "numpy", "scipy", "scikit-learn", "pandas", "matplotlib"),
    *("papermill", "jupytext", "ipykernel"),
)
CHANGED = "+changes"  # after a commit's hash, where code was another than that commit's
_ROOT = Path(__file__).parents[2]


def environment(
    device: str = "cpu", started: float | None = None, code: tuple[str, bool | None] | None = None
) -> dict[str, Any]:
    """Where and with what a run was made. Holds no host name, user name or path: it is published.

    Args:
        device: where the run computed: "cpu", "cuda", "cuda:1", "mps" or "auto".
        started: ``time.time()`` at its start, to report the seconds since then.
        code: `commit()` at its start; else that of now.
    """
    now = time.time()
    device = _resolved(str(device))
    made_at, dirty = code or commit()
    return {
        "date": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        "seconds": None if started is None else round(now - started, 1),
        "device": device,
        "device_name": _device_name(device),
        "precision": "bfloat16" if device.startswith("cuda") else "float32",  # as `fit` has it
        "threads": _threads(),
        "commit": made_at,
        "dirty": dirty,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def short(commit: str) -> str:
    """A commit's first nine digits, and `CHANGED` where it has that."""
    return commit[:9] + (CHANGED if commit.endswith(CHANGED) else "")


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


def commit(root: Path = _ROOT, chapter: Path | None = None) -> tuple[str, bool | None]:
    """The commit of the checkout that mdlib is in, and whether a run is of other code: that of
    mdlib or of a chapter was changed since, or `chapter`, the one that is run, is not in it.
    "unknown" and None where there is no such checkout."""

    def git(*arguments: str) -> str:
        # a checkout of another user, as on a volume that a container mounts, is still read
        command = ["git", "-c", "safe.directory=*", "-C", str(root), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
        return done.stdout.strip()

    try:
        # or else it is merely installed inside of some checkout
        git("ls-files", "--error-unmatch", "mdlib/__init__.py")
        code = ["mdlib", ":(glob)notebooks/**/*.py"]
        inside = chapter is not None and chapter.is_relative_to(root.resolve())
        own = [f":(literal){chapter}"] if inside else []
        dirty = git("status", "--porcelain", "--", *code, *own) != ""
        dirty |= chapter is not None and not (inside and git("ls-files", "--", *own))
        return git("rev-parse", "HEAD"), dirty
    except (OSError, subprocess.SubprocessError):
        return "unknown", None
