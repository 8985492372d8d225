"""DDCL: SimSiam whose style part is to be orthogonal between views."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mdlib import nets
from mdlib.methods.partition import Partition, ProjectsParts
from mdlib.methods.simsiam import SimSiam, regression
from mdlib.types import Loss, NotNegative


class DDCL(SimSiam, ProjectsParts):
    """Wang et al. 2024 (arXiv:2303.05066): SimSiam's loss on content, and |mean cos| on style.

    Each part has a projector and a predictor of its own. Of style it takes the cosines of SimSiam's
    own loss, and it is their mean over the batch that is to be 0, not that of each pair. The paper
    has −cos in place of our 2 − 2 cos; so style counts 2 · style_weight here, and style_weight is
    the paper's λ. The paper's style part is a fifth of the code; see `Partition` for `style_dim`.
    """

    title = "DDCL"
    colour = "#4b1a7d"

    def __init__(self, *, style_dim: int | None = None, style_weight: NotNegative = 1.0, **common):
        super().__init__(**common)
        self.parts = Partition(self.latent_dim, style_dim)
        self.style_weight = style_weight
        self.projector = self.projector_of(self.parts.content_dim)
        self.style_projector = self.projector_of(self.parts.style_dim)
        self.style_predictor = nets.projection(self.head_dim, self.predictor_hidden, self.head_dim)

    def predictors(self) -> list[nn.Module]:
        return [self.predictor, self.style_predictor]

    def loss(self, views: Tensor, generator: torch.Generator | None = None) -> Loss:
        contents, styles = zip(*map(self.parts, self.codes(views)), strict=True)
        content = regression([self.projector(c).float() for c in contents], self.predictor)
        style = regression([self.style_projector(s).float() for s in styles], self.style_predictor)
        style_cosine = (1 - style / 2).abs()
        total = content + 2 * self.style_weight * style_cosine
        return total, {"regression": content, "style_cosine": style_cosine}
