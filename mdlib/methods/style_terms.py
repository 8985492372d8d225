"""What a partitioned BYOL may ask of its style part: L_s, one module a reading.

All have the face of `StyleTerm`. Where both views of an image are compared, a term is the mean over
all ordered pairs of views.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdlib import losses, nets
from mdlib.methods.augself import DifferencePredictor
from mdlib.methods.joint_embedding import over_pairs

Codes = Sequence[Tensor]  # of each view
Parameters = Mapping[str, Tensor]


class StyleTerm(nn.Module):
    """A loss on the style parts of J views, with the projector that it acts on.

    `forward` gives a scalar from the styles that the online and the target encoder give each view,
    J tensors [B, style_dim] each, and from the views' parameters, for terms that name them in
    `uses`.
    """

    uses: tuple[str, ...] = ()

    def __init__(self, style_dim: int, hidden: int, out: int):
        super().__init__()
        self.projector = nets.projection(style_dim, hidden, out)

    def forward(self, styles: Codes, targets: Codes, parameters: Parameters) -> Tensor:
        raise NotImplementedError

    def project(self, styles: Codes) -> list[Tensor]:
        return [self.projector(style).float() for style in styles]

    def averaged(self) -> list[tuple[nn.Module, nn.Module]]:
        """As BYOL's: each network with a moving average, and that average."""
        return []


class Untrained(StyleTerm):
    """No term: style is what the layers before it make of it. Its projector stays as it began."""

    def __init__(self, style_dim: int, hidden: int, out: int):
        super().__init__(style_dim, hidden, out)
        self.projector.requires_grad_(False)

    def forward(self, styles: Codes, targets: Codes, parameters: Parameters) -> Tensor:
        return styles[0].new_zeros((), dtype=torch.float32)


class Repel(StyleTerm):
    """2 + 2 cos between the projections of two views, with gradient through both.

    For views drawn by one law, no encoder gets it below 2 on average: E[u·u' | x] = ‖E[u | x]‖² ≥ 0
    for unit vectors u, u'. At 2, an image's styles average to 0 over its views, so they must depend
    on what made the views.
    """

    def forward(self, styles: Codes, targets: Codes, parameters: Parameters) -> Tensor:
        projections = self.project(styles)
        return over_pairs(repulsion, projections, projections)


class Predicted(StyleTerm):
    """BYOL's way to compare: a view's prediction with the target's projection of another view."""

    def __init__(self, style_dim: int, hidden: int, out: int):
        super().__init__(style_dim, hidden, out)
        self.predictor = nets.projection(out, hidden, out)
        self.target_projector = copy.deepcopy(self.projector).requires_grad_(False)

    def forward(self, styles: Codes, targets: Codes, parameters: Parameters) -> Tensor:
        predictions = [self.predictor(z).float() for z in self.project(styles)]
        with torch.no_grad():
            projections = [self.target_projector(target).float() for target in targets]
        return self.compare(predictions, projections)

    def compare(self, predictions: list[Tensor], targets: list[Tensor]) -> Tensor:
        raise NotImplementedError

    def averaged(self) -> list[tuple[nn.Module, nn.Module]]:
        return [(self.projector, self.target_projector)]


class Attract(Predicted):
    """2 − 2 cos, as of content: then BYOL has two heads, and that is a control for all others."""

    def compare(self, predictions: list[Tensor], targets: list[Tensor]) -> Tensor:
        return over_pairs(losses.cosine_regression, predictions, targets)


class RepelPredicted(Predicted):
    """2 + 2 cos, and not what it looks like: it is `Attract` again.

    The predictor's last layer is linear, so it may turn its sign, and the loss is that of Attract.
    A mean cosine well below 0 gives it away.
    """

    def compare(self, predictions: list[Tensor], targets: list[Tensor]) -> Tensor:
        return over_pairs(repulsion, predictions, targets)


class Orthogonal(Predicted):
    """|mean cos|: DDCL's term (Wang et al. 2024), with BYOL's target. See `DDCL` for SimSiam's."""

    def compare(self, predictions: list[Tensor], targets: list[Tensor]) -> Tensor:
        return over_pairs(partial(F.cosine_similarity, dim=-1), predictions, targets).abs()


class Shared(Predicted):
    """2 − 2 cos between two images whose views were made with the same parameters.

    The views must come from `views.SharedStyle`: ValueError where they do not.
    """

    uses = ("parameters",)
    looked = False

    def forward(self, styles: Codes, targets: Codes, parameters: Parameters) -> Tensor:
        _check_shared(self, parameters)
        return super().forward(styles, targets, parameters)

    def compare(self, predictions: list[Tensor], targets: list[Tensor]) -> Tensor:
        partners = [target.roll(len(target) // 2, 0) for target in targets]
        each = map(losses.cosine_regression, predictions, partners)
        return torch.stack([distances.mean() for distances in each]).mean()


class SharedContrast(StyleTerm):
    """InfoNCE, in nats: of all views, which one is of another image made with the same parameters?

    The temperature is that of our InfoNCE, 0.5. For the views, see `Shared`.
    """

    uses = ("parameters",)
    looked = False

    def forward(self, styles: Codes, targets: Codes, parameters: Parameters) -> Tensor:
        _check_shared(self, parameters)
        pairs = [torch.stack(z.chunk(2), dim=1) for z in self.project(styles)]  # [B/2, 2, D]
        return losses.info_nce(torch.cat(pairs))


class Augmentation(Untrained):
    """Style must tell how the parameters of two views differ: AugSelf's term, on style alone.

    It acts on the code itself. So the projector stays as it began.
    """

    uses = ("parameters",)

    def __init__(self, style_dim: int, hidden: int, out: int):
        super().__init__(style_dim, hidden, out)
        self.differences = DifferencePredictor(style_dim, hidden)

    def forward(self, styles: Codes, targets: Codes, parameters: Parameters) -> Tensor:
        return self.differences(styles, parameters)


STYLE_TERMS: dict[str, type[StyleTerm]] = {
    "repel": Repel,
    "repel_predicted": RepelPredicted,
    "orthogonal": Orthogonal,
    "none": Untrained,
    "augmentation": Augmentation,
    "shared": Shared,
    "shared_contrast": SharedContrast,
    "attract": Attract,
}


def repulsion(a: Tensor, b: Tensor) -> Tensor:
    """2 + 2 cos(a, b), [..., D] → [...] in [0, 4]."""
    return losses.cosine_regression(-a, b)


def _check_shared(term: Shared | SharedContrast, parameters: Parameters) -> None:
    """ValueError unless images b and b + B/2 of a batch have the same parameters.

    On a CPU each batch is looked at. Elsewhere only the term's first, for to look is to wait.
    """
    if term.looked:
        return
    values = torch.cat([*parameters.values()], dim=-1) if parameters else None
    if values is None or not torch.equal(values, values.roll(len(values) // 2, 0)):
        raise ValueError(
            "this style term needs images b and b + B/2 of a batch to have the same parameters: "
            "draw the views from views.SharedStyle(…) in place of Views(…)"
        )
    term.looked = values.device.type != "cpu"
