"""A partitioned BYOL: BYOL on the content part of the code, another term on the style part."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mdlib.checks import check_one_of
from mdlib.methods.byol import BYOL
from mdlib.methods.partition import Partition, ProjectsParts
from mdlib.methods.style_terms import STYLE_TERMS
from mdlib.types import Loss, NotNegative


class PartitionedBYOL(BYOL, ProjectsParts):
    """Our readings, for BYOL, of Lee & Choi 2022 (arXiv:2203.10454), whose abstract we know only.

    The code is [content | style], see `Partition` for `style_dim`. BYOL acts on content, with heads
    and a loss that don't see style, and `style_term` names one of `style_terms.STYLE_TERMS`:

    - "repel": 2 + 2 cos between two views' styles, without a predictor;
    - "repel_predicted": the same with BYOL's predictor and target, which turns it into "attract";
    - "attract": BYOL's own loss. BYOL with two heads, the control;
    - "orthogonal": |mean cos|, of DDCL;
    - "none": a style part that no loss sees, the other control;
    - "augmentation": style tells how two views' parameters differ, as in AugSelf;
    - "shared", "shared_contrast": style attracts, by BYOL or InfoNCE, between different images made
      with the same parameters; for views from `views.SharedStyle`.

    The loss is BYOL's, a mean over ordered pairs of views, + style_weight / 2 · L_s. So
    `style_weight` is the λ of L_c + λ L_s, the convention in which BYOL's L_c sums the two orders
    of a pair, as its paper does, and L_s counts once; the loss is half of that. With "attract", 2
    makes both heads count alike; with "orthogonal", 4 has the ratio of DDCL's λ = 1.

    All views must come from one law, or style learns which of them made a view.
    """

    title = "partitioned BYOL"
    colour = "#ff5cc8"

    def __init__(
        self,
        *,
        style_dim: int | None = None,
        style_term: str = "repel",
        style_weight: NotNegative = 0.5,
        **common,
    ):
        super().__init__(**common)
        check_one_of(tuple(STYLE_TERMS), style_term=style_term)
        self.parts = Partition(self.latent_dim, style_dim)
        self.projector = self.projector_of(self.parts.content_dim)
        self.target_projector = copy.deepcopy(self.projector).requires_grad_(False)
        self.style = STYLE_TERMS[style_term](self.parts.style_dim, self.head_hidden, self.head_dim)
        self.style_weight = style_weight
        self.uses = self.style.uses

    @property
    def style_projector(self) -> nn.Module:
        return self.style.projector

    def loss(
        self,
        views: Tensor,
        generator: torch.Generator | None = None,
        *,
        parameters: Mapping[str, Tensor] | None = None,
    ) -> Loss:
        contents, styles = zip(*map(self.parts, self.codes(views)), strict=True)
        targets, style_targets = zip(*map(self.parts, self.target_codes(views)), strict=True)
        regression = self.regression(contents, targets)
        style = self.style(styles, style_targets, parameters)
        total = regression + self.style_weight / 2 * style
        return total, {"regression": regression, "style": style}

    def averaged(self) -> list[tuple[nn.Module, nn.Module]]:
        return [*super().averaged(), *self.style.averaged()]
