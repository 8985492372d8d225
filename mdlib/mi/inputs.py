"""Paired samples as tensors that an estimator can rely on; ValueError for anything else."""

from __future__ import annotations

import torch
from torch import Tensor

from mdlib.checks import as_tensor, need


def checked_pair(x, y, at_least: int, what: str) -> tuple[Tensor, Tensor]:
    """Both arrays as [N, Dx] and [N, Dy], of one floating dtype, detached, on x's device.

    [N] becomes [N, 1]. Integers become float64, half precision float32; if the two differ, both
    take the wider. `what` names the estimator in messages and `at_least` is the N that it needs.
    ValueError for fewer pairs, lengths that differ, another shape, NaN or infinity, and a constant
    column: it carries no information, and no method can put it on the scale of the others.
    """
    x, y = as_tensor(x, f"{what}: x"), as_tensor(y, f"{what}: y")
    dtype = torch.promote_types(_floating(x), _floating(y))
    x, y = (values.to(x.device, dtype) for values in (x, y))
    for name, values in (("x", x), ("y", y)):
        need(
            values.ndim in (1, 2) and 0 not in values.shape[1:],
            f"{what}: {name} has shape {list(values.shape)}, expected [N] or [N, D]: flatten maps "
            f"with {name}.flatten(1)",
        )
    need(
        len(x) == len(y),
        f"{what}: x has {len(x)} samples and y {len(y)}, expected as many: row i of both is a pair",
    )
    need(
        len(x) >= at_least,
        f"{what} is given {len(x)} pairs and needs at least {at_least}: add samples",
    )
    x, y = (values[:, None] if values.ndim == 1 else values for values in (x, y))
    for name, values in (("x", x), ("y", y)):
        _check_values(f"{what}: {name}", values)
    return x, y


def _floating(values: Tensor) -> torch.dtype:
    if not values.is_floating_point():
        return torch.float64
    return torch.promote_types(values.dtype, torch.float32)


def _check_values(name: str, values: Tensor) -> None:
    bad = (~values.isfinite()).nonzero()
    if len(bad):
        row, column = bad[0].tolist()
        raise ValueError(
            f"{name} holds {values[row, column].item()} in row {row}, column {column}, expected "
            "finite values: look for what diverged before, or leave that pair out of both arrays"
        )
    constant = (values == values[0]).all(0).nonzero()
    if len(constant):
        column = int(constant[0])
        raise ValueError(
            f"{name} is {values[0, column].item()} in every row of column {column}, expected a "
            "column that varies: leave it out, it carries no information"
        )
