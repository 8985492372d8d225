"""Instance discrimination: every training image is a class of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mdlib import losses
from mdlib.checks import check_batch
from mdlib.methods.infonce import InfoNCE
from mdlib.types import Loss, Positive


class InstanceDiscrimination(InfoNCE):
    """Wu et al. 2018 (arXiv:1805.01978), as a softmax over one weight vector w_y for each image.

    The loss: cross-entropy, in nats a view, of picking the view's own image out of all `instances`
    by cosine(z, w_y) / temperature. This is what the paper calls the parametric softmax; what it
    does where that is too large, a memory bank and sampled negatives, is not here. On the unit
    sphere w_y is the centre y of p(z|y) ∝ exp(−‖z − y‖² / 2σ²), with σ² = temperature.

    `instances` is the number of training images and has to be given; `fit` hands over each image's
    row among them. Encoder and head are those of `InfoNCE`.
    """

    title = "instance discrimination"
    colour = "#e8a400"
    uses = ("index",)
    least_views = 1

    def __init__(self, *, temperature: Positive = 0.1, instances: int | None = None, **common):
        if not instances or instances < 2:
            raise ValueError(
                f"instances={instances}: give instances=the number of training images, 2 or more"
            )
        super().__init__(temperature=temperature, **common)
        # Only their directions count; of length 1, an optimiser's step turns them far enough.
        self.centres = nn.Parameter(torch.randn(instances, self.loss_dim) / self.loss_dim**0.5)
        self.instances = instances

    def loss(
        self, views: Tensor, generator: torch.Generator | None = None, *, index: Tensor
    ) -> Loss:
        check_batch(self, *views.shape[:2])
        z = self.head(self.encoder(views.flatten(0, 1)))
        index = index.repeat_interleave(views.shape[1])
        total = losses.exemplar_softmax(z, self.centres, index, self.temperature)
        return total, {"cross_entropy": total}
