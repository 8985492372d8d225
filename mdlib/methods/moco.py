"""MoCo: contrast with the keys of batches that have passed."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdlib import losses
from mdlib.methods.joint_embedding import JointEmbedding, follow, over_pairs
from mdlib.nets.layers import Head, mlp
from mdlib.types import Count, Loss, Positive, Share


class MoCo(JointEmbedding):
    """He et al. 2020 (arXiv:1911.05722), in the version of Chen et al. 2020 (arXiv:2003.04297).

    A view's projection, the query, must pick the key of another view of its image before the
    `queue_size` keys of earlier steps. Keys come from a slow copy of encoder and projector, which
    keeps `momentum` of itself a step: so those in the queue, though old, are of nearly one network.
    The loss is InfoNCE in nats, the mean over all ordered pairs of views; then the keys of all
    views join the queue, and the oldest leave. At first it holds random directions.

    As in the authors' code the projector has no batch norm, and the momentum is constant. Theirs
    asks one view of each image for the other, and shuffles batches between GPUs, as a batch norm
    over one part of them would tell which belong together. Their ImageNet has `queue_size=65536`
    and `momentum=0.999`; a queue should be short beside the data set, or an image's own old keys
    are among those that it must reject.
    """

    title = "MoCo"
    colour = "#f0654a"
    least_images = 1  # a query has the queue to tell itself from
    queue: Tensor

    def __init__(
        self,
        *,
        queue_size: Count = 1024,
        momentum: Share = 0.99,
        temperature: Positive = 0.2,
        **common,
    ):
        super().__init__(**common)
        self.momentum, self.temperature = momentum, temperature
        self.key_encoder = copy.deepcopy(self.encoder).requires_grad_(False)
        self.key_projector = copy.deepcopy(self.projector).requires_grad_(False)
        self.register_buffer("queue", F.normalize(torch.randn(queue_size, self.head_dim), dim=1))
        self._keys: Tensor | None = None  # of the step under way

    def projector_of(self, dim: int) -> nn.Sequential:
        return Head(*mlp([dim, self.head_hidden, self.head_dim]))

    def loss(self, views: Tensor, generator: torch.Generator | None = None) -> Loss:
        queries, keys = self.project(views), self.keys(views)

        def term(query: Tensor, key: Tensor) -> Tensor:
            return losses.queue_info_nce(query, key, self.queue, self.temperature)

        total = over_pairs(term, queries, keys)
        if self.training:
            self._keys = torch.cat(keys)
        return total, {"info_nce": total}

    @torch.no_grad()
    def keys(self, views: Tensor) -> list[Tensor]:
        """What the slow copy makes of each view, of length 1: [B, head_dim] each."""
        projections = [self.key_projector(self.key_encoder(view)) for view in views.unbind(1)]
        return [F.normalize(z.float(), dim=1) for z in projections]

    def after_step(self, step: int, steps: int) -> None:
        follow(self.key_encoder, self.encoder, self.momentum)
        follow(self.key_projector, self.projector, self.momentum)
        if self._keys is not None:
            self.queue.copy_(torch.cat([self.queue, self._keys])[-len(self.queue) :])
            self._keys = None
