"""SimSiam: BYOL without the slow copy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mdlib import losses, nets
from mdlib.methods.base import with_own_group
from mdlib.methods.joint_embedding import JointEmbedding, over_pairs
from mdlib.types import Loss, Several


class SimSiam(JointEmbedding):
    """Chen & He 2021 (arXiv:2011.10566).

    A predictor regresses, for every ordered pair of views, the projection of the other view, which
    counts as a constant: no gradient flows into it. The loss is the mean over the pairs of
    2 − 2 cos, on BYOL's scale; the paper's −cos is half of it, less 1. As in the paper, a batch
    norm without weights ends the projector, and the predictor is a bottleneck (theirs: 512).

    Theirs also keeps the predictor's learning rate while that of all else decays, which they find
    better: `fix_predictor_lr=True`. Here it is off, so that all methods of a comparison have one
    schedule. Ours has no bias in the predictor's last layer, and a projector of two layers, not
    three.
    """

    title = "SimSiam"
    colour = "#7b3fa0"

    def __init__(self, *, predictor_hidden: Several = 32, fix_predictor_lr: bool = False, **common):
        super().__init__(**common)
        self.predictor_hidden, self.fix_predictor_lr = predictor_hidden, fix_predictor_lr
        self.predictor = nets.projection(self.head_dim, predictor_hidden, self.head_dim)

    def predictors(self) -> list[nn.Module]:
        """The networks whose learning rate `fix_predictor_lr` keeps as it is."""
        return [self.predictor]

    def parameter_groups(self) -> list[dict]:
        if not self.fix_predictor_lr:
            return super().parameter_groups()
        return with_own_group(self, self.predictors(), schedule="constant")

    def projector_of(self, dim: int) -> nn.Sequential:
        return super().projector_of(dim).append(nn.BatchNorm1d(self.head_dim, affine=False))

    def loss(self, views: Tensor, generator: torch.Generator | None = None) -> Loss:
        total = regression(self.project(views), self.predictor)
        return total, {"regression": total}


def regression(projections: list[Tensor], predictor: nn.Module) -> Tensor:
    """2 − 2 cos of a view's prediction with another's projection, a constant; the mean of pairs."""
    predictions = [predictor(z).float() for z in projections]
    return over_pairs(losses.cosine_regression, predictions, [z.detach() for z in projections])
