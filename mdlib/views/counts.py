"""Random views of spike counts: another bin of the same trial, and neurons that fall silent.

    samples = windows(counts, trial, reach=5)  # [N, 11, units]
    fit(method, SampleViews(samples, CountViews(dropout=0.6)), steps=500)

After Swap-VAE (Liu et al. 2021, arXiv:2111.02338).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Integer, Num
from torch import Tensor

from mdlib.checks import check_share, check_whole, need


def windows(
    counts: Num[Tensor, "bins units"], trial: Integer[Tensor, " bins"], reach: int
) -> Float[Tensor, "bins width units"]:
    """Each bin with `reach` bins before and after it, [N, 2 reach + 1, units]; −1 where its trial
    has no such bin. Bins of a trial stand one after another, in the order of time.

    Raises ValueError for a reach below 1 and for trials that are not one for each bin.
    """
    check_whole(1, reach=reach)
    need(
        trial.shape == counts.shape[:1],
        f"trial has shape {list(trial.shape)}: expected one number for each of {len(counts)} bins",
    )
    rows = torch.arange(len(counts))[:, None] + torch.arange(-reach, reach + 1)
    inside = (rows >= 0) & (rows < len(counts))
    rows = rows.clamp(0, len(counts) - 1)
    inside &= trial[rows] == trial[:, None]
    return torch.where(inside[..., None], counts[rows].float(), -1.0)


@dataclass(frozen=True)
class CountViews:
    """A law of views of `windows`: the bin in the middle, then others of its window.

    The others are drawn at random, and are never the middle itself unless its trial has no other
    bin. Of each view, a share of the units is set to 0: the share is uniform in [0, dropout], and
    which units is drawn for each view.

    Raises ValueError for a dropout outside [0, 1].
    """

    dropout: float = 0.6

    def __post_init__(self) -> None:
        check_share(dropout=self.dropout)

    def __call__(
        self, windows: Float[Tensor, "batch width units"], members: int, generator: torch.Generator
    ) -> tuple[Float[Tensor, "batch views units"], dict[str, Tensor]]:
        """Views [B, members, units], and what made them, [B, members, 1] each: "shift", in bins
        from the middle, and "dropout", the probability for each unit.

        Raises ValueError for fewer than 2 members.
        """
        check_whole(2, members=members)
        batch, width, _ = windows.shape
        odds = (windows[..., 0] >= 0).float()
        odds[:, width // 2] = 1e-9  # drawn only where all others are 0
        middle = torch.full((batch, 1), width // 2, device=windows.device)
        others = odds.multinomial(members - 1, True, generator=generator)
        chosen = torch.cat([middle, others], 1)
        views = windows[torch.arange(batch, device=windows.device)[:, None], chosen]
        draw = partial(torch.rand, generator=generator, device=windows.device)
        silent = self.dropout * draw(batch, members, 1)
        views = views * (draw(views.shape) >= silent)
        return views, {"shift": chosen[..., None] - width // 2, "dropout": silent}
