"""DirectPred: BYOL whose predictor is calculated, not trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mdlib import losses
from mdlib.checks import need
from mdlib.methods.byol import BYOL
from mdlib.types import NotNegative, Share


class DirectPred(BYOL):
    """Tian, Chen & Ganguli 2021 (arXiv:2102.06810).

    They find that BYOL's predictor, when linear, comes to share its eigenvectors with the
    correlation matrix F = E[z zᵀ] of the projections (not centred), so they put it there: after
    each step it becomes W = U diag(√(s / max s) + floor) Uᵀ, where F = U diag(s) Uᵀ is a running
    average that keeps `memory` of its past a step. W gets no gradient; until the first step it is
    the identity. Defaults of `memory` (ρ) and `floor` (ε): the authors' example command.

    Theirs has a constant momentum of the target, where this has BYOL's; F begins as the first
    batch's, not as a share of it (W does not change with F's scale); eigenvalues are held above
    1e-4.
    """

    title = "DirectPred"
    colour = "#a58bd6"
    correlation: Tensor
    predictor: nn.Linear

    def __init__(self, *, memory: Share = 0.3, floor: NotNegative = 0.01, **common):
        super().__init__(**common)
        need(memory < 1, f"memory={memory}: expected a number from 0 to below 1")
        self.memory, self.floor = memory, floor
        self.predictor = nn.Linear(self.head_dim, self.head_dim, bias=False).requires_grad_(False)
        nn.init.eye_(self.predictor.weight)
        self.register_buffer("correlation", torch.zeros(self.head_dim, self.head_dim))

    def predict(self, projections: list[Tensor]) -> list[Tensor]:
        if self.training:  # as a batch norm does, keep a running statistic of what passes
            now = losses.correlation(torch.cat(projections).detach())
            self.correlation.lerp_(now, 1 - self.memory)
        return super().predict(projections)

    @torch.no_grad()
    def after_step(self, step: int, steps: int) -> None:
        super().after_step(step, steps)
        self.predictor.weight.copy_(losses.direct_predictor(self.correlation, self.floor))
