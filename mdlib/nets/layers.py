"""Fully connected and convolutional networks, and what stands on top of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn

from mdlib.checks import need
from mdlib.devices import full_precision
from mdlib.types import ImageShape


def mlp(
    sizes: Sequence[int], batch_norm: bool = False, activation: Callable[[], nn.Module] = nn.ReLU
) -> nn.Sequential:
    """Linear layers of the given sizes with (BatchNorm and) an activation between them, none at the
    end; `activation` makes one.

    With `batch_norm`, the last layer has no bias: BYOL's and SimCLR's heads.
    """
    layers: list[nn.Module] = []
    for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        last = i == len(sizes) - 2
        layers.append(nn.Linear(fan_in, fan_out, bias=not (last and batch_norm)))
        if not last:
            layers += [nn.BatchNorm1d(fan_out)] if batch_norm else []
            layers.append(activation())
    return nn.Sequential(*layers)


class MLPEncoder(nn.Sequential):
    """[N, C, H, W] in [0, 1] → [N, dim], through hidden layers of the given sizes."""

    def __init__(self, image_shape: ImageShape, dim: int, hidden: tuple[int, ...] = (512, 256)):
        super().__init__(nn.Flatten(), *mlp([math.prod(image_shape), *hidden, dim]))


class MLPDecoder(nn.Sequential):
    """[N, dim] → logits [N, C, H, W]; the mirror image of `MLPEncoder`."""

    def __init__(self, image_shape: ImageShape, dim: int, hidden: tuple[int, ...] = (512, 256)):
        sizes = [dim, *reversed(hidden), math.prod(image_shape)]
        super().__init__(*mlp(sizes), nn.Unflatten(1, image_shape))


class ConvEncoder(nn.Sequential):
    """[N, C, H, W] → [N, dim]: two stride-2 convolutions, one stride-1, a hidden layer."""

    def __init__(self, image_shape: ImageShape, dim: int, width: int = 32, hidden: int = 256):
        channels, height, wide = halved(image_shape, 2, "conv")
        super().__init__(
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2 * width * (height // 4) * (wide // 4), hidden),
            nn.ReLU(),
            nn.Linear(hidden, dim),
        )


class ConvDecoder(nn.Sequential):
    """[N, dim] → logits [N, C, H, W]; the mirror image of `ConvEncoder`."""

    def __init__(self, image_shape: ImageShape, dim: int, width: int = 32, hidden: int = 256):
        channels, height, wide = halved(image_shape, 2, "conv")
        small = (2 * width, height // 4, wide // 4)
        super().__init__(
            nn.Linear(dim, hidden),
            nn.ReLU(),
            nn.Linear(hidden, math.prod(small)),
            nn.ReLU(),
            nn.Unflatten(1, small),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1),
        )


class Head(nn.Sequential):
    """Layers in float32, whatever an autocast around them says.

    Heads are small, and losses turn on small differences of what they give: SimSiam's and DDCL's
    gradients lose their direction in bfloat16 heads.
    """

    @full_precision
    def forward(self, codes: Tensor) -> Tensor:
        return super().forward(codes)


def projection(dim: int, hidden: int, out: int) -> Head:
    """The head of SimCLR and BYOL: Linear – BatchNorm – ReLU – Linear, [N, dim] → [N, out]."""
    return Head(*mlp([dim, hidden, out], batch_norm=True))


class Gaussian(nn.Module):
    """Split [N, 2D] into mean and log-variance [N, D] each, the latter kept within [−16, 8].

    The bounds only keep exp() finite in an early, wild step: posteriors of trained models end
    near −10 at the sharpest.
    """

    def forward(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = parameters.float().chunk(2, dim=-1)
        return mean, log_variance.clamp(-16, 8)


def halved(image_shape: ImageShape, times: int, arch: str) -> ImageShape:
    """The shape as it is; ValueError unless its sides can be halved so many times."""
    _, height, width = image_shape
    need(
        height % 2**times == width % 2**times == 0,
        f"arch={arch!r} halves the image {times} times, so its sides must be multiples of "
        f"{2**times}, not {height}×{width}: resize the images or use arch='mlp'",
    )
    return image_shape
