"""What BYOL, SimSiam, Barlow Twins, VICReg, W-MSE and DirectPred have in common."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import torch
from torch import Tensor

from mdlib import nets
from mdlib.methods.base import ImageShape, Method, check_above_zero


class JointEmbedding(Method):
    """An encoder and a projector, for losses that compare the projections of an image's views.

    No negatives, no decoder: projections of all images at one point would be the easiest way to
    make views agree, and each subclass has its own way to prevent that. The code is what the
    encoder hands to the projector: `code` is "linear" or "relu" (no negative values). The projector
    is SimCLR's, two layers of `head_hidden` and `head_dim` units.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        latent_dim: int,
        arch: str = "mlp",
        code: str = "linear",
        head_hidden: int = 256,
        head_dim: int = 64,
    ):
        super().__init__(image_shape, latent_dim)
        check_above_zero(head_hidden=head_hidden, head_dim=head_dim)
        self.encoder = nets.encoder(arch, image_shape, latent_dim, code)
        self.projector = nets.projection(latent_dim, head_hidden, head_dim)
        self.head_hidden, self.head_dim = head_hidden, head_dim

    def project(self, views: Tensor) -> list[Tensor]:
        """Projections of J views [B, J, C, H, W]: [B, head_dim] each. ValueError for J = 1."""
        members = views.shape[1]
        if members < 2:
            raise ValueError(
                f"{type(self).__name__} compares views of an image: it needs 2 or more, "
                f"not {members}"
            )
        # One view at a time, as BYOL has it: batch norm must not mix the views of an image.
        return [self.projector(self.encoder(view)).float() for view in views.unbind(1)]


def over_pairs(
    term: Callable[[Tensor, Tensor], Tensor], first: list[Tensor], second: list[Tensor]
) -> Tensor:
    """The mean of `term(first[i], second[j])` over all ordered pairs of different views i, j."""
    pairs = permutations(range(len(first)), 2)
    return torch.stack([term(first[i], second[j]).mean() for i, j in pairs]).mean()
