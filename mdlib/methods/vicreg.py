"""VICReg: views agree, dimensions vary, and do not covary."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mdlib import losses
from mdlib.methods.joint_embedding import JointEmbedding, over_pairs
from mdlib.types import Count, Loss, NotNegative


class VICReg(JointEmbedding):
    """Bardes, Ponce & LeCun 2022 (arXiv:2105.04906).

    For two views: invariance_weight · (mean squared difference) + variance_weight · (mean of the
    views' `losses.variance_hinge`) + covariance_weight · (sum of the views'
    `losses.covariance_penalty`); for more, the mean of that over all pairs. The authors' projector
    has three layers of 8192 units, ours SimCLR's two of `head_hidden` and `head_dim`: with few
    outputs, and small batches, the covariance term hardly acts.
    """

    title = "VICReg"
    colour = "#e7298a"

    def __init__(
        self,
        *,
        invariance_weight: NotNegative = 25.0,
        variance_weight: NotNegative = 25.0,
        covariance_weight: NotNegative = 1.0,
        head_hidden: Count = 256,
        head_dim: Count = 64,
        **common,
    ):
        super().__init__(head_hidden=head_hidden, head_dim=head_dim, **common)
        self.term_weights = {
            "invariance": invariance_weight,
            "variance": variance_weight,
            "covariance": covariance_weight,
        }

    def loss(self, views: Tensor, generator: torch.Generator | None = None) -> Loss:
        projections = self.project(views)
        terms = {
            "invariance": over_pairs(F.mse_loss, projections, projections),
            "variance": torch.stack(list(map(losses.variance_hinge, projections))).mean(),
            # A pair of views has two such penalties, and the paper sums these: hence the 2.
            "covariance": 2 * torch.stack(list(map(losses.covariance_penalty, projections))).mean(),
        }
        weighted = (self.term_weights[name] * term for name, term in terms.items())
        return sum(weighted, views.new_zeros(())), terms
