"""A partitioned VAE: an image's views share their content, and each has its own style."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from mdlib import losses
from mdlib.methods.joint_embedding import over_pairs
from mdlib.methods.two_part_vae import TwoPartVAE
from mdlib.methods.vae import Posterior
from mdlib.types import NotNegative, Share, Terms


class PartitionedVAE(TwoPartVAE):
    """Our reading, for VAEs, of Lee & Choi 2022 (arXiv:2203.10454), whose abstract we know only.

    In the model, one content c ~ N(0, I) gives all J views of an image, and each has a style
    s ~ N(0, I) of its own. The posterior of the shared c is the even mixture of those of single
    views, q(c|x¹ … xᴶ) = (1/J) Σⱼ q(c|xʲ); then

        log p(x¹ … xᴶ) ≥ Σᵢ (1/J) Σⱼ E[log p(xⁱ|cʲ, sⁱ)] − (1/J) Σⱼ KL(cʲ) − Σᵢ KL(sⁱ),

    for the KL of a mixture is the mean of its parts', less a Jensen-Shannon divergence ≥ 0. So to
    decode a view from another view's content (`swap`) is no trick, it is that model's likelihood;
    and content's KL counts once a group of views, not once a view (`content_kl`: "group", "view").

    The loss is 1/J of it, in nats a view, with betas on the KLs and two more terms, each once a
    group, which are means over all ordered pairs of its views: `align_weight` · KL(cⁱ ‖ cʲ), and
    `repel_weight` · max(0, repel_margin − ‖E sⁱ − E sʲ‖²). Both KLs and the alignment grow from 0
    over the first share `warmup` of the steps. The term "swapped" is a part of "reconstruction".

    Too wide or cheap a style part takes the content, too: that is what style_beta is for. A plain
    β-VAE is swap=False, content_kl="view", align_weight=0, and equal betas.
    """

    title = "partitioned VAE"
    colour = "#00b8a0"
    warmth: Tensor
    least_views = 2

    def __init__(
        self,
        *,
        swap: bool = True,
        content_kl: Literal["group", "view"] = "group",
        content_beta: NotNegative = 1.0,
        style_beta: NotNegative = 6.0,
        align_weight: NotNegative = 0.3,
        repel_weight: NotNegative = 0.0,
        repel_margin: NotNegative = 4.0,
        warmup: Share = 0.4,
        **common,
    ):
        super().__init__(**common)
        self.swaps, self.content_kl = swap, content_kl
        self.content_beta, self.style_beta = content_beta, style_beta
        self.align_weight, self.repel_weight = align_weight, repel_weight
        self.repel_margin, self.warmup = repel_margin, warmup
        self.register_buffer("warmth", torch.tensor(0.0 if warmup else 1.0))  # saved with weights

    @property
    def term_weights(self) -> Mapping[str, float | Tensor]:
        return {
            "content_kl": self.warmth * self.content_beta,
            "style_kl": self.warmth * self.style_beta,
            "alignment": self.warmth * self.align_weight,
            "repulsion": self.repel_weight,
        }

    def reconstructions(self, z: Tensor, views: Tensor) -> Terms:
        if not self.swaps:
            return super().reconstructions(z, views)
        own, swapped = self.exchanged(z, views)
        return {"reconstruction": own.lerp(swapped, 1 - 1 / views.shape[1]), "swapped": swapped}

    def regularisers(self, q: Posterior, z: Tensor, generator: Generator | None) -> Terms:
        (content, style), (content_log, style_log) = self.parts(q.mean), self.parts(q.log_variance)
        share = 1 / q.mean.shape[1]  # of a view in what counts once a group
        posteriors = list(zip(content.unbind(1), content_log.unbind(1), strict=True))
        styles = style.unbind(1)

        def too_near(a: Tensor, b: Tensor) -> Tensor:
            return F.relu(self.repel_margin - (a - b).square().sum(1))

        alignment = over_pairs(lambda a, b: losses.gaussian_kl_between(*a, *b), *[posteriors] * 2)
        return {
            "content_kl": losses.gaussian_kl(content, content_log).mean()
            * (share if self.content_kl == "group" else 1),
            "style_kl": losses.gaussian_kl(style, style_log).mean(),
            "alignment": share * alignment,
            "repulsion": share * over_pairs(too_near, styles, styles),
        }

    def after_step(self, step: int, steps: int) -> None:
        if self.warmup:
            self.warmth.fill_(min(1.0, (step + 1) / (self.warmup * steps)))
