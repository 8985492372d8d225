"""HFS: codes whose values can all be combined, whether or not they come independently."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Generator, Tensor

from mdlib import losses
from mdlib.methods.vae import VAE, Posterior
from mdlib.types import Count, NotNegative, Terms


class HFSVAE(VAE):
    """Roth et al. 2023 (arXiv:2210.07347), Hausdorff factorised support.

    Reconstruction + beta · KL + gamma · `losses.factorised_support` + scale_weight ·
    `losses.variance_hinge`, the last two of the posteriors' means. Each step looks at `pairs`
    random pairs of dimensions (all, where there are fewer). A batch is one view of each image, and
    the terms the mean over the views: the cost grows with the cube of the batch.

    Support asks nothing of how often values come together, so that factors of the data may well be
    correlated. With beta = 0 nothing else keeps codes from shrinking to a point, whose support
    does factorise: that is what `scale_weight` is for.

    The authors' code sums the scale term over dimensions where this has their mean
    (`scale_term="sum"` for theirs, whose weight then depends on latent_dim), with 1e-6 where ours
    has 1e-4, and it takes standard deviations over the code's dimensions, which we take for a slip:
    ours are over the batch. It can look for the farthest of 100 random combinations; this
    looks at all.
    """

    title = "HFS"
    colour = "#8ab833"
    least_images = 2

    def __init__(
        self,
        *,
        beta: NotNegative = 1.0,
        gamma: NotNegative = 1.0,
        scale_weight: NotNegative = 0.0,
        scale_term: Literal["mean", "sum"] = "mean",
        pairs: Count = 25,
        **common,
    ):
        super().__init__(**common)
        self.pairs, self.scale_term = pairs, scale_term
        self.term_weights = {"kl": beta, "support": gamma, "scale": scale_weight}

    def regularisers(self, q: Posterior, z: Tensor, generator: Generator | None) -> Terms:
        every = torch.combinations(torch.arange(self.latent_dim, device=z.device))
        order = torch.randperm(len(every), generator=generator, device=z.device)
        chosen = every[order[: self.pairs]]
        views = q.mean.unbind(1)
        support = torch.stack([losses.factorised_support(view, chosen) for view in views]).mean()
        scale = torch.stack([losses.variance_hinge(view) for view in views]).mean()
        if self.scale_term == "sum":
            scale = scale * self.latent_dim
        terms = super().regularisers(q, z, generator)
        return terms | {"support": support, "scale": scale}
