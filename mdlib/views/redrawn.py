"""Views that are other images: of a data set that holds every combination of its factors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from mdlib.checks import check_known, check_partners, need
from mdlib.data.base import Dataset
from mdlib.data.grid import Grid


class Redrawn:
    """A law of views that keeps an image's content factors and draws its style factors anew.

    It is called with factors in place of images: for each row and each view it draws a value of
    every style factor, uniformly and independently, and looks the image up. The setting of von
    Kügelgen et al. 2021 (arXiv:2106.04619), and a law that distorts no image.

    Args:
        grid: the data set's split ``all``, on the device where the views are to be.
        style: the names of its style factors; the others are content.
        shared: the second half of a batch gets the styles of the first, as `SharedStyle` does.

    Raises ValueError for an unknown factor, and for a split that is no whole grid.
    """

    def __init__(self, grid: Dataset, style: Sequence[str], shared: bool = False):
        for name in style:
            check_known("factor", name, grid.factor_names)
        self._grid = Grid(grid.name, grid.factor_names, grid.factor_sizes)
        need(
            len(grid) == len(self._grid),
            f"{grid.name} has {len(grid)} images, expected all {len(self._grid)}: split 'all'",
        )
        self.grid, self.style, self.shared = grid, tuple(style), shared
        self._drawn = [grid.factor_names.index(name) for name in style]

    def __repr__(self) -> str:
        return f"Redrawn({self.grid.name}, {', '.join(self.style)}, shared={self.shared})"

    def __call__(
        self, factors: Int[Tensor, "batch factors"], views: int, generator: torch.Generator
    ) -> tuple[Float[Tensor, "batch views c h w"], dict[str, Shaped[Tensor, "batch views 1"]]]:
        """Views of the images with these factors, in [0, 1], and the style factors drawn."""
        if self.shared:
            check_partners("Redrawn", len(factors))
        factors = factors[:, None].repeat(1, views, 1)
        rows = len(factors) // 2 if self.shared else len(factors)
        for j in self._drawn:
            fresh = torch.randint(
                self.grid.factor_sizes[j], (rows, views), generator=generator,
                device=generator.device,
            )  # fmt: skip
            factors[..., j] = fresh.repeat(2, 1) if self.shared else fresh
        images = self.grid.images[self._grid.index_of(factors)].float() / 255
        new = factors[..., self._drawn, None].float().unbind(2)
        return images, dict(zip(self.style, new, strict=True))
