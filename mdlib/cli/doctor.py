"""The command ``mdlib doctor``: is all that chapters need there, and as tested?

Not left to ``uv pip check``, which knows neither the extras that only some chapters need nor the
versions that were tested, and cannot be asked where the environment was made by another tool.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from mdlib.cli import terminal
from mdlib.cli.terminal import AsJson, DataRoot, errors_as_messages
from mdlib.notebook import provenance

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_COLOURS = {"OK": "green", "FAIL": "bold red", "MISSING": "yellow"}


class Check(NamedTuple):
    """One line of the doctor's report."""

    state: str  # OK, FAIL, or MISSING for what can be done without
    name: str
    detail: str


def doctor(data_root: DataRoot = None, as_json: AsJson = False) -> None:
    """Check Python, packages, device and data; exit code 1 if something is wrong."""
    with errors_as_messages():
        checks = [_check_python(), *_check_packages(), _check_device(), *_check_data(data_root)]
    failed = any(check.state == "FAIL" for check in checks)
    if as_json:
        terminal.print_json({"ok": not failed, "checks": [check._asdict() for check in checks]})
    else:
        console = terminal.console()
        for check in checks:
            console.print(f"{check.state:8}", style=_COLOURS[check.state], end="")
            console.print(f"{check.name:24} {check.detail}", soft_wrap=True)
    raise typer.Exit(1 if failed else 0)


def _check_python() -> Check:
    from packaging.specifiers import SpecifierSet

    needed, version = "", platform.python_version()
    try:
        needed = metadata.metadata("mdlib")["Requires-Python"] or ""
    except metadata.PackageNotFoundError:
        return Check("FAIL", "python", f"{version}, but mdlib is not installed in it: run make")
    good = SpecifierSet(needed).contains(version, prereleases=True)
    return Check("OK" if good else "FAIL", "python", version if good else f"{version}: {needed}")


def _check_packages() -> Iterator[Check]:
    from packaging.requirements import Requirement

    try:
        requirements = metadata.requires("mdlib") or []
    except metadata.PackageNotFoundError:
        return
    tested = _tested_versions()
    absent: dict[str, list[str]] = {}
    for requirement in map(Requirement, requirements):
        extra = re.search(r"extra == ['\"](\w+)['\"]", str(requirement.marker or ""))
        extra = extra[1] if extra else ""
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            check = _check_package(requirement, extra, tested.get(_canonical(requirement.name)))
            if check.state == "MISSING":
                absent.setdefault(extra, []).append(requirement.name)
            else:
                yield check
    for extra, names in absent.items():  # one line: whoever only runs chapters lacks nothing
        advice = f"no chapter needs {', '.join(names)}: pip install -e '.[{extra}]'"
        yield Check("MISSING", f"extra {extra}", advice)


def _check_package(requirement: Requirement, extra: str, tested: str | None) -> Check:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        needed = extra in ("", "notebooks")  # the rest is for tests, the book's site, benchmarks
        install = f"pip install -e '.[{extra}]'" if extra else "pip install -e ."
        return Check("FAIL" if needed else "MISSING", requirement.name, f"not installed: {install}")
    if not requirement.specifier.contains(version, prereleases=True):
        wanted = f"{version}, expected {requirement.specifier}"
        return Check("FAIL", requirement.name, f"{wanted}: install it again")
    note = f" (tested with {tested})" if tested and tested != version.partition("+")[0] else ""
    return Check("OK", requirement.name, version + note)


def _canonical(name: str) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)


def _tested_versions() -> dict[str, str]:
    """Package → version in the checkout's constraints.txt, where it applies to this machine."""
    from packaging.requirements import Requirement

    path = Path(__file__).resolve().parents[2] / "constraints.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    pins = [
        Requirement(line) for line in lines if line.strip() and not line.lstrip().startswith("#")
    ]
    return {
        _canonical(pin.name): str(pin.specifier).removeprefix("==")
        for pin in pins
        if pin.marker is None or pin.marker.evaluate()
    }


def _check_device() -> Check:
    try:
        import torch
    except ImportError as error:
        return Check("FAIL", "device", f"torch cannot be imported: {error}")
    found = provenance.environment("auto")
    threads = f", {torch.get_num_threads()} threads" if found["device"] == "cpu" else ""
    return Check("OK", "device", f"{found['device']}: {found['device_name']}{threads}")


def _check_data(root: Path | None) -> Iterator[Check]:
    try:
        from mdlib import data
    except ImportError as error:
        yield Check("FAIL", "data", f"mdlib.data cannot be imported: {error}")
        return
    states = {"ok": "OK", "missing": "MISSING", "corrupt": "FAIL"}
    for name in data.names():
        status = data.status(name, root)
        yield Check(states[status.state], f"data {name}", status.hint)
