"""While tests run, mdlib's shape annotations are checked: `Float[Tensor, "batch dim"]` and its kin.

`install()` wraps each function of mdlib that carries such an annotation, as its module is imported.
A call whose arguments or result don't fit raises jaxtyping's TypeCheckError, unless the function
refuses these arguments in its own words: that is what tests of bad input look at.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import inspect
import re
import sys

SHAPED = re.compile(r"\b(?:Float|Int|Integer|UInt8|Bool|Shaped|Num|Real|Complex)\w*\[")


def install() -> None:
    sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "mdlib" and not name.startswith("mdlib."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                _check_all(module)

            spec.loader.exec_module = exec_module
        return spec


def _check_all(module) -> None:
    for owner in [
        module,
        *(c for c in vars(module).values() if _is_of(module, c, inspect.isclass)),
    ]:
        for name, value in list(vars(owner).items()):
            kind = type(value) if isinstance(value, staticmethod | classmethod) else None
            function = value.__func__ if kind else value
            if _is_of(module, function, inspect.isfunction) and _is_shaped(function):
                checked = _checked(function)
                setattr(owner, name, kind(checked) if kind else checked)


def _is_of(module, value, is_kind) -> bool:
    return is_kind(value) and value.__module__ == module.__name__


def _is_shaped(function) -> bool:
    return any(SHAPED.search(str(hint)) for hint in function.__annotations__.values())


def _checked(function):
    import beartype
    import jaxtyping

    tower = beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))  # 1 is a float
    strict = jaxtyping.jaxtyped(typechecker=tower)(function)

    @functools.wraps(function)
    def call(*arguments, **named):
        try:
            return strict(*arguments, **named)
        except jaxtyping.TypeCheckError:
            function(*arguments, **named)
            raise

    return call
