"""InfoNCE with a projection head: SimCLR."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mdlib import losses, nets
from mdlib.checks import check_batch, need
from mdlib.methods.base import Method
from mdlib.types import CountOrZero, ImageShape, Loss, Positive, Several


class InfoNCE(Method):
    """Chen et al. 2020 (arXiv:2002.05709): tell the views of one image from those of all others.

    The loss acts on the head's output; the code is what the encoder hands to the head: `code` is
    "linear" or "relu" (no negative values). `head_dim=0` leaves the head out, so that the loss acts
    on the code itself.
    """

    title = "InfoNCE"
    colour = "#d55e00"
    least_images = 2
    least_views = 2

    def __init__(
        self,
        image_shape: ImageShape,
        latent_dim: int,
        arch: str = "mlp",
        code: str = "linear",
        temperature: Positive = 0.5,
        head_hidden: Several = 256,
        head_dim: CountOrZero = 64,
    ):
        super().__init__(image_shape, latent_dim)
        self.encoder = nets.encoder(arch, image_shape, latent_dim, code)
        self.head = (
            nets.projection(latent_dim, head_hidden, head_dim) if head_dim else nn.Identity()
        )
        self.loss_dim = head_dim or latent_dim  # of what the loss acts on
        need(
            self.loss_dim > 1,
            f"head_dim={head_dim}, latent_dim={latent_dim}: {type(self).__name__} compares by "
            "cosines, which in one dimension are 1 or -1 whatever the weights: expected a head_dim "
            "of 2 or more, or without a head (0) such a latent_dim",
        )
        self.temperature = temperature

    def loss(self, views: Tensor, generator: torch.Generator | None = None) -> Loss:
        check_batch(self, *views.shape[:2])
        z = self.head(self.encoder(views.flatten(0, 1))).unflatten(0, views.shape[:2])
        total = losses.info_nce(z, self.temperature)
        return total, {"info_nce": total}
