"""A code in two parts: [content | style]."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mdlib.methods.base import Method


class Partition:
    """Splits codes [..., latent_dim]: the last `style_dim` dimensions are style, the rest content.

    `style_dim=None` is a quarter of them, and at least one. Raises ValueError unless both parts
    have a dimension.
    """

    def __init__(self, latent_dim: int, style_dim: int | None = None):
        self.style_dim = max(1, latent_dim // 4) if style_dim is None else style_dim
        if not 0 < self.style_dim < latent_dim:
            raise ValueError(
                f"style_dim={self.style_dim}: expected 1 or more, and less than "
                f"latent_dim={latent_dim}, of which the rest is content"
            )
        self.content_dim = latent_dim - self.style_dim

    def __call__(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Content [..., content_dim] and style [..., style_dim]."""
        return codes.split([self.content_dim, self.style_dim], dim=-1)


class ProjectsParts(Method):
    """What methods share that have `parts`, a Partition, and a projector on each of the two."""

    parts: Partition
    projector: nn.Module
    style_projector: nn.Module

    @torch.no_grad()
    def project_parts(self, images: Tensor, batch_size: int = 2048) -> tuple[Tensor, Tensor]:
        """Projections of content and of style, float32 [N, head_dim] each; see `encode`.

        A loss after the projector leaves the encoder's content part free to know style. So whether
        content knows style is to be asked here, too.
        """
        with self.evaluating():
            batches = [self.parts(codes) for codes in self.encode(images).split(batch_size)]
            content = torch.cat([self.projector(part) for part, _ in batches])
            return content, torch.cat([self.style_projector(part) for _, part in batches])
