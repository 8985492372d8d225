"""The ceiling: an encoder that was told the classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdlib import nets
from mdlib.methods.base import Method
from mdlib.types import ImageShape, Loss, Several


class Supervised(Method):
    """Cross-entropy of a linear layer on the code, in nats a view: each view has its image's label.

    `fit` needs `labels` for it, from 0 to classes − 1. `code` is "linear" or "relu".
    """

    title = "supervised"
    colour = "#000000"
    uses = ("labels",)

    def __init__(
        self,
        image_shape: ImageShape,
        latent_dim: int,
        arch: str = "mlp",
        code: str = "linear",
        classes: Several = 10,
    ):
        super().__init__(image_shape, latent_dim)
        self.encoder = nets.encoder(arch, image_shape, latent_dim, code)
        self.head = nn.Linear(latent_dim, classes)
        self.classes = classes

    def loss(
        self, views: Tensor, generator: torch.Generator | None = None, *, labels: Tensor
    ) -> Loss:
        logits = self.head(self.encoder(views.flatten(0, 1))).float()
        total = F.cross_entropy(logits, labels.repeat_interleave(views.shape[1]))
        return total, {"cross_entropy": total}
