"""HFS: codes whose values can all be combined, whether or not they come independently."""

from __future__ import annotations

import torch
from torch import Tensor

from mdlib import losses
from mdlib.checks import check_above_zero, check_not_negative
from mdlib.methods.vae import VAE
from mdlib.types import ImageShape


class HFSVAE(VAE):
    """Roth et al. 2023 (arXiv:2210.07347), Hausdorff factorised support.

    Reconstruction + beta · KL + gamma · `losses.factorised_support` + scale_weight ·
    `losses.variance_hinge`, the last two of the posteriors' means. Each step looks at `pairs`
    random pairs of dimensions (all, where there are fewer). A batch is one view of each image, and
    the terms the mean over the views: the cost grows with the cube of the batch.

    Support asks nothing of how often values come together, so that factors of the data may well be
    correlated. With beta = 0 nothing else keeps codes from shrinking to a point, whose support
    does factorise: that is what `scale_weight` is for.

    The released code sums the scale term over dimensions, where this takes their mean (so its
    weight does what `latent_dim` times as much does here), and by default estimates the support
    from 100 random points, where this looks at all combinations of the batch.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        latent_dim: int,
        beta: float = 1.0,
        gamma: float = 1.0,
        scale_weight: float = 0.0,
        pairs: int = 25,
        **common,
    ):
        super().__init__(image_shape, latent_dim, **common)
        check_not_negative(beta=beta, gamma=gamma, scale_weight=scale_weight)
        check_above_zero(pairs=pairs)
        self.pairs = pairs
        self.term_weights = {"kl": beta, "support": gamma, "scale": scale_weight}

    def regularisers(
        self, mean: Tensor, log_variance: Tensor, z: Tensor, generator: torch.Generator | None
    ) -> dict[str, Tensor]:
        every = torch.combinations(torch.arange(self.latent_dim, device=z.device))
        order = torch.randperm(len(every), generator=generator, device=z.device)
        chosen = every[order[: self.pairs]]
        views = mean.unbind(1)
        support = torch.stack([losses.factorised_support(view, chosen) for view in views]).mean()
        scale = torch.stack([losses.variance_hinge(view) for view in views]).mean()
        terms = super().regularisers(mean, log_variance, z, generator)
        return terms | {"support": support, "scale": scale}
