"""Instance discrimination: every training image is a class of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mdlib import losses, nets
from mdlib.methods.base import ImageShape, Loss, Method, check_above_zero


class InstanceDiscrimination(Method):
    """Wu et al. 2018 (arXiv:1805.01978), as a softmax over one weight vector w_y for each image.

    The loss: cross-entropy, in nats a view, of picking the view's own image out of all `instances`
    by cosine(z, w_y) / temperature. This is what the paper calls the parametric softmax; what it
    does where that is too large, a memory bank and sampled negatives, is not here. On the unit
    sphere w_y is the centre y of p(z|y) ∝ exp(−‖z − y‖² / 2σ²), with σ² = temperature.

    `instances` is the number of training images and has to be given; `fit` hands over each image's
    row among them. The head is `InfoNCE`'s: `head_dim=0` leaves it out, and `code` is "linear" or
    "relu".
    """

    uses = ("index",)

    def __init__(
        self,
        image_shape: ImageShape,
        latent_dim: int,
        arch: str = "mlp",
        code: str = "linear",
        temperature: float = 0.1,
        head_hidden: int = 256,
        head_dim: int = 64,
        instances: int | None = None,
    ):
        super().__init__(image_shape, latent_dim)
        check_above_zero(temperature=temperature)
        if not instances or instances < 0:
            raise ValueError(f"instances={instances}: give instances=the number of training images")
        self.encoder = nets.encoder(arch, image_shape, latent_dim, code)
        self.head = (
            nets.projection(latent_dim, head_hidden, head_dim) if head_dim else nn.Identity()
        )
        dim = head_dim or latent_dim
        # Only their directions count; of length 1, an optimiser's step turns them far enough.
        self.centres = nn.Parameter(torch.randn(instances, dim) / dim**0.5)
        self.temperature = temperature
        self.instances = instances

    def loss(
        self, views: Tensor, generator: torch.Generator | None = None, *, index: Tensor
    ) -> Loss:
        z = self.head(self.encoder(views.flatten(0, 1)))
        index = index.repeat_interleave(views.shape[1])
        total = losses.exemplar_softmax(z, self.centres, index, self.temperature)
        return total, {"cross_entropy": total}
