"""What the methods have in common that compare projections of views: BYOL, SimSiam, MoCo, …"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import TypeVar

import torch
from torch import Tensor, nn

from mdlib import nets
from mdlib.checks import check_batch
from mdlib.methods.base import Method
from mdlib.types import ImageShape, Several

T = TypeVar("T")


class JointEmbedding(Method):
    """An encoder and a projector, for losses that compare the projections of an image's views.

    No decoder: projections of all images at one point would be the easiest way to make views agree,
    and each subclass has its own way to prevent that. The code is what the
    encoder hands to the projector: `code` is "linear" or "relu" (no negative values). The projector
    is SimCLR's, two layers of `head_hidden` and `head_dim` units: two or more, as most compare by
    cosines, which in one dimension are ±1 whatever the weights.
    """

    least_images = 2  # its heads normalise over the batch
    least_views = 2

    def __init__(
        self,
        image_shape: ImageShape,
        latent_dim: int,
        arch: str = "mlp",
        code: str = "linear",
        head_hidden: Several = 256,
        head_dim: Several = 64,
    ):
        super().__init__(image_shape, latent_dim)
        self.encoder = nets.encoder(arch, image_shape, latent_dim, code)
        self.head_hidden, self.head_dim = head_hidden, head_dim
        self.projector = self.projector_of(latent_dim)

    def projector_of(self, dim: int) -> nn.Sequential:
        """A new projector for codes, or parts of codes, of `dim` dimensions."""
        return nets.projection(dim, self.head_hidden, self.head_dim)

    def codes(self, views: Tensor) -> list[Tensor]:
        """Codes of J views [B, J, C, H, W]: [B, latent_dim] each. ValueError for B or J = 1."""
        check_batch(self, *views.shape[:2])
        # One view at a time, as BYOL has it: batch norm must not mix the views of an image.
        return [self.encoder(view) for view in views.unbind(1)]

    def project(self, views: Tensor) -> list[Tensor]:
        """Projections of J views [B, J, C, H, W]: [B, head_dim] each. ValueError for B or J = 1."""
        return [self.projector(code).float() for code in self.codes(views)]


def over_pairs(term: Callable[[T, T], Tensor], first: Sequence[T], second: Sequence[T]) -> Tensor:
    """The mean of `term(first[i], second[j])` over all ordered pairs of different views i, j."""
    pairs = permutations(range(len(first)), 2)
    return torch.stack([term(first[i], second[j]).mean() for i, j in pairs]).mean()


@torch.no_grad()
def follow(slow: nn.Module, fast: nn.Module, momentum: float) -> None:
    """Weights of `slow` become `momentum` of themselves and 1 − `momentum` of those of `fast`."""
    for xi, theta in zip(slow.parameters(), fast.parameters(), strict=True):
        xi.lerp_(theta, 1 - momentum)
