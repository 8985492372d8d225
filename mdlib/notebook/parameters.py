"""A chapter's parameters: what each is, what it may be, and whether a value is that.

A parameter is one line of the cell tagged "parameters", ``name = default  # what it is [domain]``.
The default is a bool, an int, a float, a str, or a list of such, whose type all values share, a
list's items too (where it has floats, an int will do): what arrives in a kernel as it was written,
by papermill and by a sweep's JSON alike. The domain, in brackets at the end of the comment (which
may open and close in comments on the lines below), is::

    1 or more, above 0, 1 or less, below 1, 0 to 1, a multiple of 2
                        of a number: any of these, with commas between them; a limit may be the name
                        of another parameter, as in "1 or more, below batch_size"
    seed                a whole number that every generator takes: 0 to 2³² − 1
    one of a, b, c      one of these words; one such as mdlib.mi.tasks stands for the names in it,
                        of a module with names(), a dict or a tuple
    some of a, b, c     one or more of them, each once, with commas between them
    method              a name of mdlib.methods; several: some methods
    data set            what mdlib.data.load takes, as in images:PATH; several: some data sets
    data set with factors
                        the same, but no folder of images, of which nobody knows the factors;
                        several: some data sets with factors
    some numbers, above 0
                        numbers with commas between them, each in the domain that follows;
                        some whole numbers, 1 or more: likewise
    option              options of a method as NAME=NUMBER, commas between, or nothing
    device              auto, cpu, mps, cuda or cuda:N
    text                any

and what begins with "some" may end on words that stand alone, as in ``some methods, or all``. A
comment without brackets says nothing about values. Then the type is all that is checked, unless the
name is a customary one, which has the domain that all chapters give it: see _CUSTOMARY.
"""

from __future__ import annotations

import ast
import builtins
import io
import math
import operator
import re
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any

from mdlib.checks import check_known

_TYPES = (bool, int, float, str, list)
_LIMIT = r"(-?\d+(?:\.\d+)?(?:e-?\d+)?|[A-Za-z_]\w*)"
_RELATIONS = {
    rf"{_LIMIT} or more": (operator.ge,),
    rf"above {_LIMIT}": (operator.gt,),
    rf"{_LIMIT} or less": (operator.le,),
    rf"below {_LIMIT}": (operator.lt,),
    rf"{_LIMIT} to {_LIMIT}": (operator.ge, operator.le),
    r"a multiple of (0*[1-9]\d*)": (lambda value, of: value % of == 0,),
}
_CUSTOMARY = {
    "seed": "seed",
    "device": "device",
    "dataset": "data set",
    "method": "method",
    "methods": "some methods, or all",
}
_SEED = "0 to 4294967295"  # NumPy's and scikit-learn's legacy generators take no more
_DEVICE = r"auto|cpu|mps|cuda(:\d+)?"


@dataclass(frozen=True)
class Parameter:
    """One line of a chapter's parameters cell.

    Raises ValueError for a default of another type than _TYPES, for a domain that is none, and
    for a default outside of its domain.
    """

    name: str
    default: Any
    help: str = ""
    domain: str = ""

    def __post_init__(self):
        if self.type not in _TYPES:
            raise ValueError(
                f"parameter {self.name!r} is {_shown(self.default)}, a {self.type.__name__}, "
                "expected a bool, int, float or str, or a list of such: no other arrives in a "
                "kernel as it was written; make it in the cell after the parameters"
            )
        self.conform(self.default)

    @property
    def type(self) -> builtins.type:
        return type(self.default)

    def conform(self, value: Any) -> Any:
        """`value` in the type and domain of the parameter (of a list of names, without spaces).

        Raises ValueError if it is of another. `check_together` looks at limits that are parameters.
        """
        if self.type is float and type(value) is int:
            value = float(value) if abs(value) < 2**1023 else math.inf
        if type(value) is not self.type:
            raise ValueError(f"{self.mismatch(value)} (it is of type {type(value).__name__})")
        if self.type is float and not math.isfinite(value):
            raise ValueError(f"parameter {self.name!r} is {value}, expected a finite number")
        if self.type is int and not -(2**63) <= value < 2**63:
            raise ValueError(f"{self.mismatch(value)} (it has more than 64 bits)")
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ValueError(f"{self.mismatch(value)} (it is no text in UTF-8)") from None
        if isinstance(value, list):
            for item in value:
                Parameter(self.name, item)  # or ValueError
            known = _kinds(self.default)
            for depth, kind in _kinds(value) - known:
                if depth in dict(known) and not (kind is int and (depth, float) in known):
                    raise ValueError(f"{self.mismatch(value)} (it holds a {kind.__name__})")
        return self._in_domain(value)

    def _in_domain(self, value: Any) -> Any:
        if not self.domain:
            return value
        if self.type is str:
            try:
                return _checked_text(self.domain, value)
            except _Malformed:
                raise self._malformed() from None
            except ValueError as error:
                raise ValueError(f"parameter {self.name!r} is {_shown(value)}: {error}") from None
        if self.type not in (int, float):
            raise self._malformed()
        for holds, limit in self.limits():
            if not isinstance(limit, str) and not holds(value, limit):
                raise ValueError(self.mismatch(value))
        return value

    def limits(self) -> list[tuple[Any, float | str]]:
        """(comparison, limit) of a number's domain; a limit that is a str names a parameter."""
        if self.type not in (int, float) or not self.domain:
            return []
        try:
            return _limits(_SEED if self.domain == "seed" else self.domain)
        except _Malformed:
            raise self._malformed() from None

    def _malformed(self) -> ValueError:
        return ValueError(
            f"parameter {self.name!r}: [{self.domain}] is no domain of a {self.type.__name__}: "
            "expected such as [1 or more], [0 to 1], [one of a, b], [some of a, b, or all], "
            "[data set], [text]; CONTRIBUTING.md has them all"
        )

    def mismatch(self, value: Any) -> str:
        """What to say of a value that does not fit."""
        wanted = {bool: "bool (true or false)"}.get(self.type, self.type.__name__)
        domain = {"": "", "seed": f", {_SEED}"}.get(self.domain, f", {self.domain}")
        default = f"such as its default {self.default!r}"
        return f"parameter {self.name!r} is {_shown(value)}, expected {wanted}{domain}, {default}"

    def parse(self, text: str) -> Any:
        """The value that a word of the command line means; ValueError if it is none."""
        try:
            if self.type is bool:
                value = {"true": True, "false": False}[text.lower()]
            elif self.type is list:
                value = ast.literal_eval(text)
            else:
                value = self.type(text)
        except (ValueError, KeyError, SyntaxError):
            raise ValueError(self.mismatch(text)) from None
        return self.conform(value)


def _kinds(items: list, depth: int = 0) -> set[tuple[int, builtins.type]]:
    """How deep they stand, and of what types: all items of a list, and of the lists in it."""
    below = (_kinds(item, depth + 1) for item in items if isinstance(item, list))
    return {(depth, type(item)) for item in items}.union(*below)


class _Malformed(Exception):
    """A domain that is none."""


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _limits(domain: str) -> list[tuple[Any, float | str]]:
    found = []
    for clause in domain.split(", "):
        for pattern, relations in _RELATIONS.items():
            if match := re.fullmatch(pattern, clause):
                found += zip(relations, map(_limit, match.groups()), strict=True)
                break
        else:
            raise _Malformed
    return found


def _limit(text: str) -> float | str:
    if text.isidentifier():
        return text
    return float(text) if re.search(r"[.e]", text) else int(text)


def _checked_text(domain: str, value: str) -> str:
    """`value` as the domain wants it, or ValueError; _Malformed if the domain is none."""
    if domain == "text":
        return value
    if domain == "device":
        if not re.fullmatch(_DEVICE, value):
            raise ValueError(f"unknown device {value!r}: expected auto, cpu, cuda, cuda:N or mps")
        return value
    if domain == "option":
        return _checked_option(value)
    if domain in ("data set", "data set with factors"):
        return _checked_data_set(value, factors="factors" in domain)
    if domain == "method" or domain.startswith("one of "):
        return _checked_name(domain.removeprefix("one of "), value)
    if not domain.startswith("some "):
        raise _Malformed
    members, *alone = domain.removeprefix("some ").split(", or ")
    if value.strip() in alone:
        return value.strip()
    parts = [part.strip() for part in value.split(",")]
    for part in parts:
        if part in alone and len(parts) > 1:
            raise ValueError(f"{part!r} stands alone")
    if numbers := re.fullmatch(r"(whole )?numbers(?:, (.+))?", members):
        return ",".join(_checked_number(numbers[1], numbers[2], part) for part in parts)
    for part in parts:
        if members in ("data sets", "data sets with factors"):
            _checked_data_set(part, factors="factors" in members)
        elif members == "methods" or members.startswith("of "):
            _checked_name(members.removeprefix("of "), part, alone)
        else:
            raise _Malformed
        if parts.count(part) > 1:
            raise ValueError(f"{part!r} is there twice")
    return ",".join(parts)


def _checked_name(members: str, name: str, alone: Iterable[str] = ()) -> str:
    if members in ("method", "methods"):
        from mdlib import methods

        kind, names = "method", methods.names()
    else:
        kind, names = "choice", re.split(r",\s*", members)
        if not all(re.fullmatch(r"[\w.+-]+", each) for each in names):
            raise _Malformed
        if name not in names:  # before what stands for many is imported
            names = [each for word in names for each in _standing_for(word)]
    check_known(kind, name, [*names, *alone])
    return name


def _standing_for(word: str) -> Iterable[str]:
    if not word.startswith("mdlib."):
        return [word]
    try:
        found = resolve_name(word)
    except (ImportError, AttributeError):
        raise _Malformed from None
    return found.names() if hasattr(found, "names") else found


def _checked_data_set(name: str, factors: bool) -> str:
    if factors and name.startswith("images:"):
        raise ValueError(
            f"{name}: nobody knows the factors of these images, which this chapter measures: "
            "expected a data set with factors, such as sprites, scenes or dsprites"
        )
    if name != name.strip() or not name:
        raise ValueError("expected the name of a data set, or images:PATH")
    return name  # whether there is such a one, and its files, is for `mdlib.data` to say


def _checked_number(whole: str | None, bounds: str | None, text: str) -> str:
    limits = _limits(bounds) if bounds else []
    if any(isinstance(limit, str) for _, limit in limits):
        raise _Malformed  # nothing holds numbers in a text against another parameter
    wanted = f"a {whole or ''}number{f', {bounds},' if bounds else ''}"
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no {wanted[2:]}: expected {wanted} between commas") from None
    if not math.isfinite(number) or not all(holds(number, limit) for holds, limit in limits):
        raise ValueError(f"{text!r}: expected {wanted} between commas")
    return text


def _checked_option(value: str) -> str:
    """ValueError unless these are options, by numbers that they take, of a method or more each."""
    if value:
        from mdlib import methods

        for name, number in methods.parse_options(value).items():
            check_known("option of a method", name, methods.all_options())
            methods.check_taken(name, number)
    return value


def read(source: str) -> dict[str, Parameter]:
    """The parameters of a cell, by name, in its order.

    Raises SyntaxError or ValueError where it holds anything but ``name = literal`` and comments.
    """
    lines = ast.parse(source).body  # before the comments, which want sound Python
    comments, found = _comments(source), {}
    for line in lines:
        text = ast.get_source_segment(source, line)
        match line:
            case ast.Assign([ast.Name(name)], value):
                pass
            case ast.AnnAssign(ast.Name(name), _, ast.expr() as value):
                pass
            case _:
                raise ValueError(f"{text!r} is not of the form `name = literal  # comment`")
        if name in found:
            raise ValueError(f"{name!r} is set twice")
        try:
            default = ast.literal_eval(value)
        except ValueError:
            hint = "derive it in the cell after the parameters"
            raise ValueError(f"{text!r} is no plain literal: {hint}") from None
        kind, known = type(default).__name__, [each.__name__ for each in _TYPES]
        annotation = getattr(getattr(line, "annotation", None), "id", kind)
        if annotation != kind and annotation in known:
            raise ValueError(f"{text!r} is annotated as {annotation}, but its literal is none")
        comment = comments.get(line.end_lineno) or comments.get(line.lineno, "")
        help, bracket, domain = comment.rpartition("[") if comment.endswith("]") else (comment,) * 3
        if bracket != "[":
            of_its_name = isinstance(default, int if name == "seed" else str)
            help, domain = comment, _CUSTOMARY.get(name, "") if of_its_name else ""
        found[name] = Parameter(name, default, help.strip(), domain.removesuffix("]").strip())
    for parameter in found.values():
        _check_limits_that_are_names(parameter, found)
    return found


def _comments(source: str) -> dict[int, str]:
    """Line → the comment that begins there, and goes on below while, or where, a bracket opens."""
    found, alone = {}, {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            text = token.string.lstrip("# ").rstrip()
            (alone if not token.line[: token.start[1]].strip() else found)[token.start[0]] = text
    for number, text in found.items():
        below = number + 1
        while below in alone and (text.count("[") > text.count("]") or alone[below][:1] == "["):
            text, below = f"{text} {alone[below]}", below + 1
        found[number] = text
    return found


def _check_limits_that_are_names(parameter: Parameter, parameters: Mapping[str, Parameter]) -> None:
    for _, limit in parameter.limits():
        if isinstance(limit, str) and (
            limit not in parameters or parameters[limit].type not in (int, float)
        ):
            raise ValueError(
                f"parameter {parameter.name!r}: [{parameter.domain}] names {limit!r}, which is no "
                "parameter that is a number"
            )


def check_together(parameters: Mapping[str, Parameter], values: Mapping[str, Any]) -> None:
    """ValueError unless all `values` keep the limits that are other parameters."""
    for name, parameter in parameters.items():
        for holds, limit in parameter.limits():
            if isinstance(limit, str) and not holds(values[name], values[limit]):
                raise ValueError(f"{parameter.mismatch(values[name])} ({limit} is {values[limit]})")
