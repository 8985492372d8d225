"""The style of a view: the parameters that made it, column by column, as targets of a probe."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from mdlib.views.render import COLUMNS

BINARY: frozenset[str] = frozenset({"horizontal flip", "vertical flip", "grey"})
"""The columns that are 0 or 1: targets of a classifier. All the others are real numbers."""

PERIODS = {"hue": 1.0, "rotation": 360.0}
"""The columns that lie on a circle, and when they come round."""


def style(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parameters, [B, J, k] each, as one column [B, J] for each name in `COLUMNS`.

    They are as the view shows them: where a flip follows the crop, the crop's centre is mirrored
    with it. Else nobody could tell the centre from the view alone.
    """
    columns = {
        column: parameters[name][..., i]
        for name in parameters
        for i, column in enumerate(COLUMNS[name])
    }
    for flip, centre in (("horizontal flip", "crop x"), ("vertical flip", "crop y")):
        if flip in columns and centre in columns:
            c = columns[centre]
            columns[centre] = torch.where(columns[flip] > 0.5, 1 - c, c)
    return columns


def circular(columns: Mapping[str, Tensor], *names: str) -> dict[str, Tensor]:
    """The columns of `style`, with "NAME cos" and "NAME sin" in place of each of `names`.

    For a law that goes all the way round, "hue" with hue=0.5 or "rotation" with rotation=180: its
    two ends look the same, though as numbers they are the farthest apart. Names that are no column
    here are left out; ValueError for a column that has no period.
    """
    for name in names:
        if name not in PERIODS:
            raise ValueError(f"circular: {name!r} has no period, expected some of {[*PERIODS]}")
    result = {}
    for name, column in columns.items():
        if name in names:
            angle = 2 * math.pi / PERIODS[name] * column
            result |= {f"{name} cos": angle.cos(), f"{name} sin": angle.sin()}
        else:
            result[name] = column
    return result
