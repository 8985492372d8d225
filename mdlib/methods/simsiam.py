"""SimSiam: BYOL without the slow copy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mdlib import losses, nets
from mdlib.checks import check_above_zero
from mdlib.methods.joint_embedding import JointEmbedding, over_pairs
from mdlib.types import ImageShape, Loss


class SimSiam(JointEmbedding):
    """Chen & He 2021 (arXiv:2011.10566).

    A predictor regresses, for every ordered pair of views, the projection of the other view, which
    counts as a constant: no gradient flows into it. The loss is the mean over the pairs of
    2 − 2 cos, on BYOL's scale; the paper's −cos is half of it, less 1. As in the paper, a batch
    norm without weights ends the projector, and the predictor is a bottleneck (theirs: 512).

    In the authors' recipe the predictor's learning rate does not fall, and they find that better;
    here it has the schedule of all others.
    """

    def __init__(
        self, image_shape: ImageShape, latent_dim: int, predictor_hidden: int = 32, **common
    ):
        super().__init__(image_shape, latent_dim, **common)
        check_above_zero(predictor_hidden=predictor_hidden)
        self.predictor = nets.projection(self.head_dim, predictor_hidden, self.head_dim)

    def projector_of(self, dim: int) -> nn.Sequential:
        return super().projector_of(dim).append(nn.BatchNorm1d(self.head_dim, affine=False))

    def loss(self, views: Tensor, generator: torch.Generator | None = None) -> Loss:
        total = regression(self.project(views), self.predictor)
        return total, {"regression": total}


def regression(projections: list[Tensor], predictor: nn.Module) -> Tensor:
    """2 − 2 cos of a view's prediction with another's projection, a constant; the mean of pairs."""
    predictions = [predictor(z).float() for z in projections]
    return over_pairs(losses.cosine_regression, predictions, [z.detach() for z in projections])
