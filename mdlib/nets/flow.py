"""A normalising flow: an invertible map with a known change of volume."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mdlib.checks import check_whole
from mdlib.nets.layers import mlp


class CouplingFlow(nn.Module):
    """Affine couplings (Dinh et al. 2017) with a free linear map before, between and after.

    A coupling scales and moves one half of the numbers by functions of the other half; scales lie
    between 1/e and e. Linear maps start as random rotations. Without couplings it is one such map.

    Args:
        dim: of what is mapped.
        couplings: how many, 0 or more; with one, `dim` must be at least 2.
        hidden, activation: of the network in each coupling.
    """

    def __init__(
        self,
        dim: int,
        couplings: int = 4,
        hidden: Sequence[int] = (64, 64),
        activation: Callable[[], nn.Module] = nn.SiLU,
    ):
        super().__init__()
        check_whole(0, couplings=couplings)
        check_whole(2 if couplings else 1, dim=dim)
        self.cut = dim // 2
        self.maps = nn.Parameter(torch.linalg.qr(torch.randn(couplings + 1, dim, dim))[0])
        sizes = [self.cut, *hidden, 2 * (dim - self.cut)]
        self.nets = nn.ModuleList(mlp(sizes, activation=activation) for _ in range(couplings))

    def forward(
        self, x: Float[Tensor, "n dim"]
    ) -> tuple[Float[Tensor, "n dim"], Float[Tensor, " n"]]:
        """z, and the log-determinant of the map's Jacobian, in nats."""
        log_det = self.maps.slogdet()[1].sum().expand(len(x))
        z = x @ self.maps[0].T
        for W, net in zip(self.maps[1:], self.nets, strict=True):
            a, b = z.tensor_split([self.cut], 1)
            log_s, t = net(a).chunk(2, 1)
            log_det = log_det + log_s.tanh().sum(1)
            z = torch.cat([a, b * log_s.tanh().exp() + t], 1) @ W.T
        return z, log_det

    def inverse(self, z: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
        """The x that are mapped to z."""
        for n in reversed(range(len(self.nets))):
            z = z @ self.maps[n + 1].inverse().T
            a, b = z.tensor_split([self.cut], 1)
            log_s, t = self.nets[n](a).chunk(2, 1)
            z = torch.cat([a, (b - t) * (-log_s.tanh()).exp()], 1)
        return z @ self.maps[0].inverse().T
