"""Encoders, decoders and heads: plain modules that know no loss.

Three families, each with an encoder and its mirror image as decoder:

- `mlp`, `mlp-small` (a quarter of the weights) and `mlp-large` (SimVE's, five times as many): fully
  connected, for any image size;
- `conv`: strided convolutions, for sides that are a multiple of 4 (28, 32, 64, …);
- `resnet`: SimVE's, for sides that are a multiple of 16 (32, 64, …); see `mdlib.nets.resnet`.
"""

from __future__ import annotations

from functools import partial

from torch import nn

from mdlib.checks import check_one_of
from mdlib.nets.flow import CouplingFlow
from mdlib.nets.layers import (
    ConvDecoder,
    ConvEncoder,
    Gaussian,
    MLPDecoder,
    MLPEncoder,
    mlp,
    projection,
)
from mdlib.nets.resnet import ResNetDecoder, ResNetEncoder
from mdlib.registry import Registry
from mdlib.types import ImageShape

_SMALL = (256, 128)
_LARGE = (2000, 500, 500)  # as released with SimVE (Bizeul et al. 2024)
ENCODERS = Registry(
    "architecture",
    {
        "mlp": MLPEncoder,
        "mlp-small": partial(MLPEncoder, hidden=_SMALL),
        "mlp-large": partial(MLPEncoder, hidden=_LARGE),
        "conv": ConvEncoder,
        "resnet": ResNetEncoder,
    },
)
_DECODERS = Registry(
    "architecture",
    {
        "mlp": MLPDecoder,
        "mlp-small": partial(MLPDecoder, hidden=_SMALL),
        "mlp-large": partial(MLPDecoder, hidden=_LARGE),
        "conv": ConvDecoder,
        "resnet": ResNetDecoder,
    },
)
CODES = ("linear", "relu")

__all__ = [
    "CODES",
    "ENCODERS",
    "CouplingFlow",
    "Gaussian",
    "decoder",
    "encoder",
    "mlp",
    "projection",
]


def encoder(arch: str, image_shape: ImageShape, dim: int, code: str = "linear") -> nn.Module:
    """The encoder of family `arch`: [N, C, H, W] → [N, dim]. ValueError if unknown.

    With `code="relu"` a ReLU ends it and no output is negative. Then the code's axes mean something
    to the network; a linear code's don't, for the layers around it can absorb any rotation of it.
    """
    check_one_of(CODES, code=code)
    network = ENCODERS[arch](image_shape, dim)
    return network.append(nn.ReLU()) if code == "relu" else network


def decoder(arch: str, image_shape: ImageShape, dim: int) -> nn.Module:
    """The decoder of family `arch`: [N, dim] → logits [N, C, H, W]. ValueError if unknown."""
    return _DECODERS[arch](image_shape, dim)
