"""SimVE's residual networks: an encoder of images, and a decoder to match.

Written after the released set-up of Bizeul et al. 2024, a ResNet-18 without its last stage: a stem
of 64 channels, stages of 32, 64 and 128 channels with two blocks each, no pooling before the last
layer. Where that changes with the image's size, or is not known to us, this is our own choice:

- one 3×3 stem for all sizes, where the release has a 4×4 one for 64×64; features are as many;
- the decoder starts from 512 maps of a 16th of the image's side, which for 32×32 is the release's
  2×2;
- the shortcut around an upsampling block is a 2×2 transposed convolution.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from mdlib.nets.layers import halved
from mdlib.types import ImageShape


class ResNetEncoder(nn.Sequential):
    """[N, C, H, W] in [0, 1] → [N, dim]."""

    def __init__(self, image_shape: ImageShape, dim: int):
        channels, height, width = halved(image_shape, 4, "resnet")
        super().__init__(
            nn.Conv2d(channels, 64, 3, padding=1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
            *_stage(64, 32, stride=1),
            *_stage(32, 64, stride=2),
            *_stage(64, 128, stride=2),
            nn.Flatten(),
            nn.Linear(128 * (height // 8) * (width // 8), dim),
        )


class ResNetDecoder(nn.Sequential):
    """[N, dim] → logits [N, C, H, W]: three doubling stages, one that keeps the size, one more."""

    def __init__(self, image_shape: ImageShape, dim: int):
        channels, height, width = halved(image_shape, 4, "resnet")
        small = (512, height // 16, width // 16)
        doubling = [_doubling_stage(i, o) for i, o in pairwise((512, 256, 128, 64))]
        super().__init__(
            nn.Linear(dim, math.prod(small)),
            nn.Unflatten(1, small),
            *(block for stage in doubling for block in stage),
            *_plain_block(64),
            *_plain_block(64),
            nn.ConvTranspose2d(64, channels, 7, stride=2, padding=3, output_padding=1),
        )


class Residual(nn.Module):
    """relu(main(x) + shortcut(x))."""

    def __init__(self, main: nn.Module, shortcut: nn.Module):
        super().__init__()
        self.main, self.shortcut = main, shortcut

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.main(x) + self.shortcut(x))


def _stage(fan_in: int, out: int, stride: int) -> list[nn.Module]:
    """Two blocks of two 3×3 convolutions; the first changes channels, and its shortcut with it."""

    def main(fan_in: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(fan_in, out, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
        )

    projection = nn.Sequential(
        nn.Conv2d(fan_in, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out)
    )
    return [Residual(main(fan_in, stride), projection), Residual(main(out, 1), nn.Identity())]


def _doubling_stage(fan_in: int, out: int) -> list[nn.Module]:
    """A block with a shortcut that doubles the sides, and a plain one."""
    main = nn.Sequential(
        nn.ConvTranspose2d(fan_in, out, 3, stride=2, padding=1, output_padding=1, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(),
        nn.ConvTranspose2d(out, out, 3, padding=1, bias=False),
        nn.BatchNorm2d(out),
    )
    shortcut = nn.Sequential(
        nn.ConvTranspose2d(fan_in, out, 2, stride=2, bias=False), nn.BatchNorm2d(out)
    )
    return [Residual(main, shortcut), *_plain_block(out)]


def _plain_block(channels: int) -> list[nn.Module]:
    """Two 3×3 transposed convolutions that keep size and channels, without a shortcut."""
    layers: list[nn.Module] = []
    for _ in range(2):
        convolution = nn.ConvTranspose2d(channels, channels, 3, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(channels), nn.ReLU()]
    return layers
