"""Bad arguments, in one vocabulary: what was given, what was expected, what to do.

Nothing heavy is imported before a tensor is looked at.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from inspect import Parameter, signature
from math import inf
from numbers import Integral, Real
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


_MANY = 30  # of more names than these, a reader wants no list


def unknown(kind: str, name: str, valid: Iterable[str]) -> str:
    """A sentence such as ``unknown method 'vaee': did you mean 'vae'? Valid: byol, infonce, …``.

    Of many valid names only those that come near, if there are any.
    """
    valid = sorted(valid)
    near = get_close_matches(str(name), valid, n=3, cutoff=0.6)
    hint = f" did you mean {' or '.join(map(repr, near))}?" if near else ""
    if near and len(valid) > _MANY:
        return f"unknown {kind} {name!r}:{hint}"
    return f"unknown {kind} {name!r}:{hint} Valid: {', '.join(valid) or '(none)'}"


def check_known(kind: str, name: str, valid: Collection[str]) -> None:
    """ValueError, with the names that come near, unless `name` is one of `valid`."""
    if name not in valid:
        raise ValueError(unknown(kind, name, valid))


def need(condition: object, message: str) -> None:
    """ValueError with that message unless the condition is true, as `if` takes it."""
    if not condition:
        raise ValueError(message)


def as_tensor(values, name: str = "values") -> Tensor:
    """Tensors without their gradient; arrays, sequences and pandas' columns, copied, as tensors.

    ValueError as `as_array` has it.
    """
    import torch

    if not isinstance(values, torch.Tensor):
        return torch.from_numpy(as_array(values, name))
    need(not values.is_complex(), f"{name} are complex, expected real numbers")
    need(
        values.layout == torch.strided and not re.match("torch.(float[48]|q)", str(values.dtype)),
        f"{name} are {values.dtype} in the layout {values.layout}, expected a dense tensor of "
        "ordinary numbers: values.to_dense(), values.float()",
    )
    if values.dtype in (torch.uint16, torch.uint32, torch.uint64):
        return as_tensor(values.cpu().numpy(), name).to(values.device)
    return values.detach()


def as_array(values, name: str = "values") -> np.ndarray:
    """Numbers in tensors, arrays, sequences and pandas' columns, copied, of a type torch has, too.

    ValueError, which calls them `name`, for text and other objects, for complex numbers, for those
    under a mask, and for rows of different lengths.
    """
    import numpy as np

    torch = sys.modules.get("torch")  # who has a tensor has imported it

    def plain(part):
        """Tensors in sequences as arrays, which NumPy makes no others of."""
        if torch and isinstance(part, torch.Tensor):
            part = as_tensor(part, name).cpu()
            return (part.float() if part.dtype == torch.bfloat16 else part).numpy()
        need(
            not (isinstance(part, np.ma.MaskedArray) and np.ma.is_masked(part)),
            f"{name} are masked in places, and what stands under a mask is no value: leave those "
            "rows out, or fill them",
        )
        return [plain(inner) for inner in part] if isinstance(part, (list, tuple)) else part

    parts = plain(values)
    try:
        array = np.asarray(parts)
        if array.dtype == object:  # numbers may hide in there; text and None do not change
            array = np.array(array.tolist())
    except ValueError as error:
        raise ValueError(f"{name} are no array, expected rows of one length: {error}") from error
    need(array.dtype.kind != "c", f"{name} are complex, expected real numbers")
    if array.dtype.kind not in "buif":
        numbers = (bool, int, float, np.number)
        others = [
            v for v in array.flat if not isinstance(v, numbers) or isinstance(v, np.timedelta64)
        ]
        need(
            others, f"{name} hold whole numbers beyond 64 bits: take them as floats, or number them"
        )
        odd = others[0]
        raise ValueError(
            f"{name} are {array.dtype}, such as {str(odd) if array.dtype.kind in 'US' else odd!r}, "
            "expected numbers: number the values of each column with "
            "numpy.unique(column, return_inverse=True)"
        )
    if array.dtype.kind == "u" and array.itemsize > 1:  # torch computes with none of these
        need(
            not array.size or array.max() < 2**63,
            f"{name} hold {array.max() if array.size else 0}, expected numbers below 2^63: number "
            "them with numpy.unique(column, return_inverse=True), or take them as floats",
        )
        array = array.astype(np.int64)
    if array.dtype.kind == "f" and array.itemsize > 8:
        array = array.astype(np.float64)
    # Sharing a read-only array makes torch warn; and it knows one byte order and no way backwards.
    return np.array(array, array.dtype.newbyteorder("="), order="C")


def check_each(name: str, values: Tensor, good: Tensor, expected: str) -> None:
    """ValueError with the first value that isn't `good`, a mask, and with its place."""
    bad = (~good).nonzero().tolist()
    if bad:
        value = values[tuple(bad[0])].item()
        raise ValueError(f"{name} hold {value} at {bad[0]}, expected {expected}")


def check_finite(name: str, values: Tensor, instead: str = "leave the sample out") -> None:
    """ValueError that says where, unless all values are finite."""
    expected = f"finite values: look for what diverged before, or {instead}"
    check_each(name, values, values.isfinite(), expected)


def check_exact(name: str, values: Tensor) -> None:
    """ValueError for a whole number beyond ±2^53: as floats, it and its neighbours are one."""
    if not values.is_floating_point() and values.dtype.itemsize == 8:
        whole = values.long()
        check_each(
            name,
            whole,
            (whole >= -(2**53)) & (whole <= 2**53),
            "whole numbers within ±2^53, which floats tell apart: take the least off, or number "
            "the values of each column with numpy.unique(column, return_inverse=True)",
        )


def checked_grid(name: str, values: Sequence, whole: bool = False) -> list:
    kind = "whole" if whole else "finite"
    parts = list(values) if isinstance(values, Iterable) else []
    valid = [
        _is_number(v) and 0 < v < inf and (not whole or isinstance(v, Integral)) for v in parts
    ]
    need(
        parts and all(valid), f"{name} is {values!r}, expected one or more positive {kind} numbers"
    )
    return parts


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_numbers(options: Mapping[str, Any], holds: Callable, wanted: str) -> None:
    for name, value in options.items():
        need(_is_number(value) and holds(value), f"{name}={value!r}: expected {wanted}")


def check_above_zero(**options: float) -> None:
    """ValueError for the first of the named options that is not above 0."""
    _check_numbers(options, lambda x: 0 < x < inf, "a number above 0, and a finite one")


def check_whole(least: int, most: float = inf, /, **options: int) -> None:
    """ValueError for the first of the named options that is no whole number, `least` to `most`."""
    wanted = f"a whole number of at least {least}"
    if most < inf:
        wanted = f"a whole number from {least} to {most}"
    _check_numbers(options, lambda x: isinstance(x, Integral) and least <= x <= most, wanted)


def check_not_negative(**options: float) -> None:
    """ValueError for the first of the named options that is below 0."""
    _check_numbers(options, lambda x: 0 <= x < inf, "0 or a number above it")


def check_share(**options: float) -> None:
    """ValueError for the first of the named options that is no number from 0 to 1."""
    _check_numbers(options, lambda x: 0 <= x <= 1, "a number from 0 to 1")


def check_annotated(annotation: Any, name: str, value: Any) -> None:
    """ValueError unless `value` is what an option `name` with that annotation takes.

    A `Literal` takes its words, bool True and False (or 1 and 0), int whole numbers, and
    `Annotated[type, check]` what passes ``check(**{name: value})``, as the types of `mdlib.types`
    do; each with None where the annotation has it. Other types are not looked at.
    """
    if NoneType in (kinds := get_args(annotation)):
        if value is None:
            return
        annotation = next(kind for kind in kinds if kind is not NoneType)
    if get_origin(annotation) is Annotated:
        annotation.__metadata__[0](**{name: value})
    elif get_origin(annotation) is Literal:
        check_one_of(get_args(annotation), **{name: value})
    elif annotation is bool:
        need(value in (True, False), f"{name}={value!r}: expected True or False")
    elif annotation is int:
        _check_numbers({name: value}, lambda x: isinstance(x, Integral), "a whole number")


def defaults(function: Callable) -> dict[str, Parameter]:
    """The parameters of a function, or of a class, that have a default: its options."""
    parameters = signature(function, eval_str=True).parameters.values()
    return {p.name: p for p in parameters if p.default is not p.empty}


def check_options(kind: str, valid: Mapping[str, Parameter], options: Mapping[str, Any]) -> None:
    """ValueError for an option that is none of `valid`, with these, or by its annotation."""
    for name, value in options.items():
        need(name in valid, f"{name}={value!r}: {unknown(kind, name, valid)}")
        check_annotated(valid[name].annotation, name, value)


def check_seed(seed: int) -> None:
    """ValueError unless NumPy's and torch's generators alike take it."""
    wanted = "a whole number from 0 to 2^63 - 1"
    _check_numbers({"seed": seed}, lambda x: isinstance(x, Integral) and 0 <= x < 2**63, wanted)


def check_one_of(choices: tuple[str, ...], **options: str) -> None:
    """ValueError for the first of the named options that is none of the choices."""
    for name, value in options.items():
        if value not in choices:
            raise ValueError(f"{name}={value!r}: expected one of {choices}")


def check_partners(name: str, batch: int) -> None:
    """ValueError unless each image of a batch can have a partner of one style."""
    need(
        batch % 2 == 0,
        f"{name}: batch is {batch}, expected an even number, so that each image has a partner to "
        "share its parameters with",
    )


def check_batch(learner: Any, images: int, views: int) -> None:
    """ValueError for a batch of `images` times `views` that `learner` can't learn from.

    It says so by its `least_images` and `least_views`.
    """
    name = type(learner).__name__
    least = getattr(learner, "least_images", 1)
    need(
        images >= least,
        f"batch_size={images}: {name} compares the images of a batch, or normalises over them: it "
        f"needs {least} or more, not {images}",
    )
    least = getattr(learner, "least_views", 1)
    need(
        views >= least,
        f"members={views}: {name} compares views of an image: it needs {least} or more, "
        f"not {views}",
    )
