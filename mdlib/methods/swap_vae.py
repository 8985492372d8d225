"""Swap-VAE: content without noise that changes places between views."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from mdlib import losses
from mdlib.methods.joint_embedding import over_pairs
from mdlib.methods.two_part_vae import TwoPartVAE
from mdlib.methods.vae import Posterior
from mdlib.types import NotNegative, Terms


class SwapVAE(TwoPartVAE):
    """Liu et al. 2021 (arXiv:2111.02338): L_self + L_swap + style_beta · KL(s) + align_weight · A.

    Content is a point, only style has a posterior. L_self rebuilds each view from its own code, and
    L_swap from its own style and another view's content; their sum is the term "reconstruction".
    A is the mean of 2 − 2 cos between the contents of two views, with gradient through both. Nats a
    view. Theirs is for spikes, with a Poisson likelihood; the default weights, 10 and 1, are
    theirs. As contents have no prior, there is no ELBO, and nothing that `sample` could draw from.
    """

    title = "Swap-VAE"
    colour = "#6fd6c4"
    least_views = 2

    def __init__(
        self, *, style_beta: NotNegative = 10.0, align_weight: NotNegative = 1.0, **common
    ):
        super().__init__(**common)
        self.term_weights = {"style_kl": style_beta, "alignment": align_weight}

    def draw(self, mean: Tensor, log_variance: Tensor, generator: Generator | None) -> Tensor:
        content, style = self.parts(mean)
        _, style_log_variance = self.parts(log_variance)
        return torch.cat([content, super().draw(style, style_log_variance, generator)], dim=-1)

    def reconstructions(self, z: Tensor, views: Tensor) -> Terms:
        own, swapped = self.exchanged(z, views)
        return {"reconstruction": own + swapped, "swapped": swapped}

    def regularisers(self, q: Posterior, z: Tensor, generator: Generator | None) -> Terms:
        (content, style), (_, style_log_variance) = self.parts(q.mean), self.parts(q.log_variance)
        contents = content.unbind(1)
        return {
            "style_kl": losses.gaussian_kl(style, style_log_variance).mean(),
            "alignment": over_pairs(losses.cosine_regression, contents, contents),
        }

    def elbo(self, *args, **kwargs) -> Tensor:
        raise ValueError("SwapVAE's contents have neither prior nor posterior, so it has no ELBO")

    def sample(self, *args, **kwargs) -> Tensor:
        raise ValueError(
            "SwapVAE's contents have no prior to sample from: use swap(content, style) with the "
            "contents of images"
        )
