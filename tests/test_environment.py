"""pyproject.toml, environment.yml and constraints.txt name the same dependencies."""

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
CONDA_NAMES = {"pytorch": "torch"}  # conda's name → the index's name


def bounds(lines):
    """Requirement lines as {name: specifiers}."""
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(r.name): r.specifier for r in requirements}


def pinned():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    lines = [line.partition("#")[0].strip() for line in lines]
    return [line for line in lines if line]


def test_conda_environment_has_the_same_requirements():
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(entry["pip"] for entry in entries if isinstance(entry, dict))
    assert pip[-1] == "-e ."
    conda = bounds([entry for entry in entries if isinstance(entry, str)] + pip[:-1])
    conda = {CONDA_NAMES.get(name, name): specifier for name, specifier in conda.items()}
    conda.pop("pip")

    extras = [line for name in ("notebooks", "test", "book", "course") for line in EXTRAS[name]]
    wanted = [*PROJECT["dependencies"], *extras]
    assert conda == {**bounds(wanted), **bounds([f"python{PROJECT['requires-python']}"])}


def test_constraints_satisfy_every_requirement():
    pins = [Requirement(line) for line in pinned()]
    everything = [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
    for name, specifier in bounds(everything).items():
        versions = [str(pin.specifier) for pin in pins if canonicalize_name(pin.name) == name]
        assert versions, f"{name} is not in constraints.txt: run `make lock`"
        for version in versions:
            assert version.startswith("=="), f"{name}{version} is no single version"
            assert specifier.contains(version[2:], prereleases=True), f"{name}{version}"


def test_constraints_name_no_index():
    for line in pinned():
        assert not re.search(r"://|--index|--extra-index|--find-links|^-", line), line
