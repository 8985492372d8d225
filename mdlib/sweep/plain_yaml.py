"""YAML as a sweep's file means it: `Loader`, for yaml.load."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

import yaml
from yaml.constructor import ConstructorError


class Loader(yaml.SafeLoader):
    """YAML 1.2's plain words: decimal numbers, true, false and null; all others are text.

    YAML 1.1, which PyYAML reads, takes 010 for 8, 1:30 for 90, `no` for false and 1e-3 for text.
    """

    yaml_implicit_resolvers: ClassVar = {}  # ty: ignore[incompatible-attribute-override]  stub errs


for _tag, _pattern in {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?|[-+]?\.(inf|nan)",
    "merge": "<<",
}.items():
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), None)


def _plain(kind: Callable[[str], Any], words: str):
    """A constructor that names the words it can't take, of which `!!int abc` has some."""

    def construct(loader: Loader, node: yaml.Node) -> Any:
        text = loader.construct_scalar(node)
        try:
            return kind(text)
        except (ValueError, KeyError):  # int and float take no more than so many digits either
            text = text if len(text) <= 40 else f"{text[:40]}…"
            raise ConstructorError(
                problem=f"{text!r} is no {words}", problem_mark=node.start_mark
            ) from None

    return construct


Loader.add_constructor("tag:yaml.org,2002:int", _plain(int, "whole number that can be read"))
Loader.add_constructor(
    "tag:yaml.org,2002:bool",
    _plain(lambda text: {"true": True, "false": False}[text.lower()], "bool: say true or false"),
)
Loader.add_constructor(
    "tag:yaml.org,2002:float",
    _plain(lambda text: float(re.sub(r"\.(?=inf|nan)", "", text.lower())), "number"),
)
# Of YAML 1.1's other kinds no parameter can be, and PyYAML's readers of them break on bad words.
for _tag in ("timestamp", "binary", "set", "omap", "pairs"):
    Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", yaml.SafeLoader.construct_undefined)
