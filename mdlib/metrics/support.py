"""HFS: can every combination of the values that codes take one by one occur?"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mdlib.checks import check_whole, need
from mdlib.evaluation.inputs import unit_of
from mdlib.losses import factorised_support
from mdlib.metrics.inputs import Score, checked_codes
from mdlib.registry import random_stream
from mdlib.types import Values


@dataclass(frozen=True, eq=False, kw_only=True)
class HFSScore(Score):
    """`per_pair` is the mean over pairs of codes, which compares between widths; the score is that
    times the D(D − 1)/2 pairs there are. `n` are the samples used: `batch` times the batches.
    """

    batch: int
    pairs: int
    per_pair: float


def hfs(
    codes: Values, *,
    batch: int = 128, batches: int | None = None, pairs: int | None = None, seed: int = 0,
) -> HFSScore:  # fmt: skip
    """Hausdorff distance of the codes' support from a factorised one (Roth et al. 2023); lower is
    better, 0 the best. It needs no factors.

    For codes i and j of a batch: the farthest that any combination (z_ai, z_bj) of their values is
    from the nearest (z_ni, z_nj) that does occur, as a squared distance; summed over pairs of codes
    and averaged over batches. Rows of codes [N, D], D ≥ 2, are shuffled by `seed` and dealt into
    batches of `batch` (all rows are one batch if there are fewer; a rest is left out), of which
    `batches` are used, or all. `pairs` draws so many pairs of codes anew for each batch instead of
    taking all, and scales the sum to all: time grows as pairs·batch³. It is not invariant to scale,
    and depends on `batch`. ValueError for NaN or a single code.
    """
    codes = checked_codes(codes, least=2)
    check_whole(2, batch=batch)
    for name, value in {"batches": batches, "pairs": pairs}.items():
        if value is not None:
            check_whole(1, **{name: value})
    draw = random_stream(seed)
    d, batch = codes.shape[1], min(batch, len(codes))
    rows = torch.randperm(len(codes), generator=draw).to(codes.device)
    dealt = rows[: len(rows) // batch * batch].reshape(-1, batch)[:batches]
    every = torch.triu_indices(d, d, 1, device=codes.device).T
    largest = codes.abs().max()
    means, unit = [], unit_of(largest)
    for part in dealt:
        chosen = every
        if pairs is not None:
            chosen = every[torch.randperm(len(every), generator=draw)[:pairs].to(codes.device)]
        means.append(factorised_support(codes[part] * unit, chosen).double() / len(chosen))
    per_pair = float(torch.stack(means).mean() / unit / unit)
    need(
        per_pair < float("inf"),
        f"codes reach {float(largest):.3g}, and squared distances no number: divide the codes by "
        "their range",
    )
    return HFSScore(
        score=per_pair * len(every),
        n=dealt.numel(),
        seed=seed,
        batch=batch,
        pairs=len(chosen),
        per_pair=per_pair,
    )
