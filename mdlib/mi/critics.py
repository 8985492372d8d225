"""Critics f(x, y): networks that score every pair of a batch, several at a time.

A critic here is an *ensemble* of `members` networks of one shape, which share nothing: their
weights are stacked and each layer is one batched matrix product, so that eight critics cost little
more than one. Called with x [B, Dx] and y [B, Dy], which all members see, or [members, B, D], it
returns scores [members, B, B] with scores[m, i, j] = f_m(x_i, y_j).

The exact critic of a task whose density is known is the task's own `log_ratio`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from mdlib.checks import check_options, defaults
from mdlib.losses import gaussian_log_density
from mdlib.registry import Registry, seeded
from mdlib.types import Count


class Linears(nn.Module):
    """`members` linear layers side by side: [B, D] or [members, B, D] → [members, B, out].

    Each starts as `torch.nn.Linear` does, uniform in ±1/√D.
    """

    def __init__(self, members: int, dim: int, out: int):
        super().__init__()
        bound = dim**-0.5
        self.weight = nn.Parameter(torch.empty(members, dim, out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, 1, out).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        x = x.expand(len(self.weight), *x.shape[-2:])
        return torch.baddbmm(self.bias, x, self.weight)


def mlp(members: int, sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers of the given sizes with ReLU between them, `members` times."""
    layers: list[nn.Module] = []
    for dim, out in pairwise(sizes):
        layers += [Linears(members, dim, out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Separable(nn.Module):
    """f(x, y) = g(x)ᵀ h(y), two networks into `embed` dimensions: B + B evaluations for B² scores.

    `layers` hidden layers of `hidden` units each. (The setting "layers = 2" of the usual PyTorch
    code has three hidden layers, that of the TensorFlow notebook two.)
    """

    def __init__(
        self, dim_x: int, dim_y: int, members: int = 1,
        hidden: Count = 256, layers: Count = 3, embed: Count = 32,
    ):  # fmt: skip
        super().__init__()
        self.g = mlp(members, [dim_x, *[hidden] * layers, embed])
        self.h = mlp(members, [dim_y, *[hidden] * layers, embed])

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.g(x) @ self.h(y).mT


class Concatenated(nn.Module):
    """f(x, y) = one network of the pair [x, y] ("joint" critic): B² evaluations, dear and strong.

    The first layer sees x and y once each: W[x, y] = Wx·x + Wy·y.
    """

    def __init__(
        self, dim_x: int, dim_y: int, members: int = 1, hidden: Count = 256, layers: Count = 3
    ):
        super().__init__()
        self.first = Linears(members, dim_x + dim_y, hidden)
        self.rest = mlp(members, [*[hidden] * layers, 1])

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        of_x, of_y = self.first.weight.split([x.shape[-1], y.shape[-1]], 1)
        first = (x @ of_x)[:, :, None] + (y @ of_y + self.first.bias)[:, None]
        scores = self.rest(first.flatten(1, 2).relu())  # of [members, B·B, hidden]
        return scores.unflatten(1, first.shape[1:3]).squeeze(-1)


class Bilinear(nn.Module):
    """f(x, y) = xᵀ W y, the critic of CPC (van den Oord et al. 2018). W starts at 0."""

    def __init__(self, dim_x: int, dim_y: int, members: int = 1):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(members, dim_x, dim_y))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x @ self.weight @ y.mT


class GaussianConditional(nn.Module):
    """log q(y_j|x_i) in nats, q(y|x) = N(μ(x), diag exp v(x)): CLUB's variational family.

    μ and v are networks with one hidden layer of `hidden` units. `tanh_log_variance` keeps v within
    ±1 as the authors' code does; otherwise v is free.
    """

    def __init__(
        self, dim_x: int, dim_y: int, members: int = 1,
        hidden: Count = 64, tanh_log_variance: bool = False,
    ):  # fmt: skip
        super().__init__()
        self.mean = mlp(members, [dim_x, hidden, dim_y])
        self.log_variance = mlp(members, [dim_x, hidden, dim_y])
        self.tanh_log_variance = tanh_log_variance

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        mean, log_variance = self.mean(x), self.log_variance(x)
        if self.tanh_log_variance:
            log_variance = log_variance.tanh()
        y = y.expand(len(mean), *y.shape[-2:])[:, None]
        return gaussian_log_density(y, mean[:, :, None], log_variance[:, :, None])


CRITICS = Registry(
    "critic",
    {
        "separable": Separable,
        "concatenated": Concatenated,
        "bilinear": Bilinear,
        "gaussian-conditional": GaussianConditional,
    },
)


def create(
    name: str, dim_x: int, dim_y: int, members: int = 1, seed: int = 0, **options
) -> nn.Module:
    """A critic of CRITICS with weights drawn by `seed`, touching no global random state.

    Raises ValueError for an unknown name or option, and for sizes below 1.
    """
    kind = CRITICS[name]
    check_options(f"option of the critic {name}", defaults(kind), options)
    with seeded(seed):
        return kind(dim_x, dim_y, members, **options)
