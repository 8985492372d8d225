"""The cells of a chapter, to be run by themselves: its parameters, its definitions, one cell."""

from __future__ import annotations

import ast
from functools import cache
from typing import Any

import jupytext
import matplotlib
import pytest
import torch

from mdlib.notebook import chapters
from mdlib.registry import random_stream

matplotlib.use("Agg")


@cache
def text(chapter: str) -> str:
    return chapters.find(chapter).path.read_text(encoding="utf-8")


@cache
def cells(source: str) -> list[tuple[list[str], str]]:
    """The code cells of a chapter's text: tags and code."""
    code = [c for c in jupytext.reads(source, fmt="py:percent").cells if c.cell_type == "code"]
    return [(cell.metadata.get("tags", []), cell.source) for cell in code]


def tagged(source: str, tag: str) -> list[str]:
    return [code for tags, code in cells(source) if tag in tags]


def definitions(source: str) -> str:
    """What all code cells define, in order."""
    nodes = [node for _, code in cells(source) for node in ast.parse(code).body]
    return "\n".join(ast.unparse(node) for node in nodes if defines(node))


def defines(node: ast.stmt) -> bool:
    """A function, a class, or a CONSTANT."""
    if not isinstance(node, ast.Assign):
        return isinstance(node, ast.FunctionDef | ast.ClassDef)
    (name,) = (getattr(target, "id", "") for target in node.targets[:1])
    return name.isupper() and len(name) > 1


def run(source: str, space: dict[str, Any], name: str) -> dict[str, Any]:
    """Execute code in `space`, under a name that a traceback shows; return the space."""
    exec(compile(source, name, "exec"), space)
    return space


def draws(seed: int = 0) -> torch.Generator:
    """A stream of random numbers of its own for a test."""
    return random_stream(seed)


def broken(source: str, change: tuple[str, str] | None) -> str:
    """The code with the one place of `change` replaced, or as it is."""
    if change is None:
        return source
    assert source.count(change[0]) == 1, change
    return source.replace(*change)


def check(cell: str, space: dict[str, Any], name: str, change: tuple[str, str] | None) -> None:
    """Run a cell of asserts: they hold, or, where something was changed, one of them fails."""
    if change is None:
        run(cell, space, name)
        return
    with pytest.raises(AssertionError):
        run(cell, space, name)


def namespace(source: str, **parameters: Any) -> dict[str, Any]:
    """What a chapter's text defines: its parameters, with changes, its cells tagged "setup", then
    all functions, classes and CONSTANTS. No other cell runs."""
    space: dict[str, Any] = {}
    for cell in tagged(source, "parameters"):
        run(cell, space, "parameters")
    unknown = parameters.keys() - space.keys()
    assert not unknown, f"{sorted(unknown)}: the chapter has no such parameters"
    space |= parameters
    for cell in tagged(source, "setup"):
        run(cell, space, "setup")
    return run(definitions(source), space, "definitions")
