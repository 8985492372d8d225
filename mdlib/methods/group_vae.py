"""Group VAEs: all views of an image share one content; each has a style of its own."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from mdlib import losses
from mdlib.checks import check_one_of
from mdlib.methods.two_part_vae import TwoPartVAE
from mdlib.methods.vae import Posterior
from mdlib.types import Terms


def mean_of_gaussians(mean: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of J means and the mean of J variances (as log); [B, J, D] → [B, 1, D] each."""
    pooled = log_variance.exp().mean(1, keepdim=True).log()
    return mean.mean(1, keepdim=True), pooled


def product_of_gaussians(mean: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-variance of the normalised product of J Gaussians; [B, J, D] → [B, 1, D] each.

    Precisions add up, and means are weighted by them.
    """
    weights = (-log_variance).softmax(1)
    pooled = -(-log_variance).logsumexp(1, keepdim=True)
    return (weights * mean).sum(1, keepdim=True), pooled


_POOLINGS = {"mean": mean_of_gaussians, "product": product_of_gaussians}


class GroupVAE(TwoPartVAE):
    """GVAE (Hosoya 2019, arXiv:1809.02383): codes are [content | style], content is the group's.

        loss = reconstruction_weight · E[−log p(xʲ|c, sʲ)] + (1/J) KL(q(c|x¹ … xᴶ) ‖ N(0, I))
               + KL(q(sʲ|xʲ) ‖ N(0, I))

    in nats a view: minus the group's evidence lower bound, divided by J. q(c|x¹ … xᴶ) pools the
    views' own posteriors, by `pooling` "mean" (of means and of variances) or "product" (of
    densities); one draw of c serves all J views.

    `encode` sees one image at a time: its content is the mean of that image's own posterior. No
    group and no label helps at test time. With J = 1 this is the VAE.
    """

    title = "GVAE"
    colour = "#2fc41f"

    def __init__(self, *, pooling: str = "mean", **common):
        super().__init__(**common)
        check_one_of(tuple(_POOLINGS), pooling=pooling)
        self.pool = _POOLINGS[pooling]

    def group_posterior(self, mean: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(c, sʲ|x¹ … xᴶ), from those of each view; [B, J, D] each."""
        (content, style), (content_log, style_log) = self.parts(mean), self.parts(log_variance)
        content, content_log = self.pool(content, content_log)
        return _shared(content, style), _shared(content_log, style_log)

    def draw(self, mean: Tensor, log_variance: Tensor, generator: Generator | None) -> Tensor:
        mean, log_variance = self.group_posterior(mean, log_variance)
        content, style = self.parts(torch.empty_like(mean).normal_(generator=generator))
        noise = _shared(content[:, :1], style)  # one draw of c for all views
        return mean + (0.5 * log_variance).exp() * noise

    def regularisers(self, q: Posterior, z: Tensor, generator: Generator | None) -> Terms:
        posterior = self.group_posterior(*q)
        (content, style), (content_log, style_log) = map(self.parts, posterior)
        return {  # content, the same in all views, counts once a group
            "content_kl": losses.gaussian_kl(content, content_log).mean() / q.mean.shape[1],
            "style_kl": losses.gaussian_kl(style, style_log).mean(),
        }


def _shared(content: Tensor, style: Tensor) -> Tensor:
    """Codes [B, J, D] of one content [B, 1, content_dim] and J styles [B, J, style_dim]."""
    return torch.cat([content.expand(-1, style.shape[1], -1), style], dim=-1)
