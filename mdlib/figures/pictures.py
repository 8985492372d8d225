"""Pictures as text: a PNG that a browser takes for an address, and a cell of a table holds."""

from __future__ import annotations

import base64
import io

import numpy as np
import torch
from torch import Tensor

from mdlib.checks import need

_PNG = "data:image/png;base64,"


def png(sheet: Tensor) -> str:
    """A picture uint8 [H, W], or [H, W, 3], as a PNG of 8 bits."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(sheet.cpu().numpy()).save(file, "PNG", optimize=True)
    return _PNG + base64.b64encode(file.getvalue()).decode()


def as_text(images: Tensor) -> str:
    """Grey square images [N, 1, S, S] in [0, 1], side by side, as one `png`. ValueError for other
    shapes or values."""
    shape, inside = tuple(images.shape), bool(((images >= 0) & (images <= 1)).all())
    fits = inside and len(shape) == 4 and shape[1:] == (1, shape[2], shape[2])
    need(fits, f"images {shape}: expected [N, 1, S, S], with values from 0 to 1")
    return png((255 * images).round().to(torch.uint8)[:, 0].transpose(0, 1).flatten(1))


def from_text(text: str) -> Tensor:
    """The images uint8 [N, 1, S, S] of `as_text`. ValueError for a text that is not from there."""
    from PIL import Image

    need(text.startswith(_PNG), f"{text[:40]!r}: a picture's text begins with {_PNG!r}")
    with Image.open(io.BytesIO(base64.b64decode(text.removeprefix(_PNG)))) as file:
        strip = torch.from_numpy(np.array(file))
    return torch.stack(strip.split(len(strip), 1))[:, None]
