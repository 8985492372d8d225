"""A small network from x to y, where learning is not the subject but a tool."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdlib.checks import check_above_zero, check_not_negative, check_whole, need
from mdlib.devices import as_outside
from mdlib.registry import random_stream


@as_outside
def regress(
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor] = F.mse_loss,
    *,
    steps: int = 1000,
    batch_size: int = 64,
    lr: float = 1e-3,
    noise: float = 0.0,
    seed: int = 0,
) -> nn.Module:
    """Train `network` in place from x [N, ...] to y [N, ...] by Adam, and return it frozen.

    Args:
        loss: of the network's outputs and y, a number.
        noise: normal noise of deviation `noise` · u, u uniform in [0, 1] for each sample, is put on
            x anew at each step: a network that will be asked of blurred or generated samples must
            know faint noise and strong noise, and none.
        seed: of the rows in each batch and of the noise; the network's weights are the caller's.

    Raises ValueError for x and y of different lengths, and for settings out of their range.
    """
    need(len(x) == len(y) > 0, f"{len(x)} samples with {len(y)} targets, expected as many, >= 1")
    check_whole(1, steps=steps, batch_size=batch_size)
    check_above_zero(lr=lr)
    check_not_negative(noise=noise)
    draws = random_stream(seed)
    adam = torch.optim.Adam(network.parameters(), lr=lr)
    for _ in range(steps):
        rows = torch.randint(len(x), (batch_size,), generator=draws).to(x.device)
        given = x[rows]
        if noise:
            strength = noise * torch.rand(batch_size, *[1] * (x.ndim - 1), generator=draws)
            given = given + (strength * torch.randn(given.shape, generator=draws)).to(given)
        adam.zero_grad()
        loss(network(given), y[rows]).backward()
        adam.step()
    return network.eval().requires_grad_(False)
