"""AugSelf: the code must also tell how two views of an image differ."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdlib import nets
from mdlib.methods.byol import BYOL
from mdlib.types import Loss, NotNegative
from mdlib.views import BINARY, COLUMNS, PERIODS, circular, style

_Trunk = Literal["shared", "separate"]
_COLOUR = ("brightness", "contrast", "saturation", "hue")


class DifferencePredictor(nn.Module):
    """Tells from the codes of two views how the parameters that made them differ.

    Networks of three layers read both codes: one for all augmentations ("shared"), or one for each
    ("separate"). There is one output a column of `views.style`, hue and rotation as cosine and sine
    (`views.circular`), and each goes to [−1, 1] by tanh and regresses the difference of that column
    divided by its range over the batch, whatever the law of views. A column of 0 and 1 has a logit
    that both views have the same.
    """

    def __init__(self, dim: int, hidden: int, trunk: _Trunk = "shared"):
        super().__init__()
        # As many outputs as any law needs, for only the views will tell which it varies.
        columns = Counter(_augmentation(name) for names in COLUMNS.values() for name in names)
        columns.update(_augmentation(name) for name in PERIODS)  # a cosine and a sine, one more

        def network(outputs: int) -> nn.Sequential:
            return nets.mlp([2 * dim, hidden, hidden, outputs], batch_norm=True)

        if trunk == "shared":
            self.network = network(columns.total())
        else:
            self.networks = nn.ModuleDict({name: network(n) for name, n in columns.items()})
        self.trunk = trunk

    def forward(self, codes: Sequence[Tensor], parameters: Mapping[str, Tensor]) -> Tensor:
        """The loss over all ordered pairs of J views; J codes [B, dim] → a scalar.

        The mean over the columns of an augmentation, summed over augmentations: a crop is one, and
        all changes of colour together are one. ValueError where the parameters hold nothing.
        """
        columns = circular(style(parameters), *PERIODS)
        if not columns:
            raise ValueError(
                "these views have no parameters to predict: use a law that varies something"
            )
        pairs = list(permutations(range(len(codes)), 2))

        def sides(views: Sequence[Tensor]) -> list[Tensor]:
            """The first views of all pairs, and the second ones."""
            return [torch.cat([views[pair[side]] for pair in pairs]) for side in (0, 1)]

        both = torch.cat(sides(codes), dim=1)
        if self.trunk == "shared":
            shared = iter(self.network(both).float().unbind(1))
            outputs = defaultdict(lambda: shared)  # one after the other, whatever it is of
        else:
            there = dict.fromkeys(map(_augmentation, columns))
            outputs = {a: iter(self.networks[a](both).float().unbind(1)) for a in there}
        terms = defaultdict(list)
        for name, column in columns.items():
            output = next(outputs[_augmentation(name)])
            a, b = sides(column.unbind(1))
            if name in BINARY:
                term = F.binary_cross_entropy_with_logits(output, (a == b).float())
            else:
                extent = (column.max() - column.min()).clamp(min=torch.finfo(a.dtype).tiny)
                term = F.mse_loss(output.tanh(), (a - b) / extent)
            terms[_augmentation(name)].append(term)
        return torch.stack([torch.stack(each).mean() for each in terms.values()]).sum()


class AugSelf(BYOL):
    """Lee et al. 2021 (arXiv:2111.09613): BYOL's loss + the `DifferencePredictor`'s on the code.

    The paper's BYOL sums the two orders of a pair where ours has their mean, so the second term
    counts augmentation_weight / 2 here: `augmentation_weight` is the paper's λ, one for all
    augmentations.

    Where theirs is otherwise: each augmentation has a network of its own (`trunk="separate"`), with
    512 hidden units where this has `head_hidden`; differences of a crop are not scaled, and hue's
    is one scaled number, where here each column is divided by its range over the batch, and hue is
    a cosine and a sine.
    """

    title = "AugSelf"
    colour = "#b0006a"
    uses = ("parameters",)

    def __init__(
        self, *, augmentation_weight: NotNegative = 1.0, trunk: _Trunk = "shared", **common
    ):
        super().__init__(**common)
        self.augmentation_weight = augmentation_weight
        self.differences = DifferencePredictor(self.latent_dim, self.head_hidden, trunk)

    def loss(
        self,
        views: Tensor,
        generator: torch.Generator | None = None,
        *,
        parameters: Mapping[str, Tensor],
    ) -> Loss:
        codes = self.codes(views)
        regression = self.regression(codes, self.target_codes(views))
        differences = self.differences(codes, parameters)
        total = regression + self.augmentation_weight / 2 * differences
        return total, {"regression": regression, "differences": differences}


def _augmentation(column: str) -> str:
    first = column.split()[0]
    return "colour" if first in _COLOUR else first
