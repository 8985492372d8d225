"""A code in two parts: [content | style]."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Partition:
    """Splits codes [..., latent_dim]: the last `style_dim` dimensions are style, the rest content.

    `style_dim=None` is a quarter of them, and at least one. Raises ValueError unless both parts
    have a dimension.
    """

    latent_dim: int
    style_dim: int | None = None

    def __post_init__(self):
        style_dim = max(1, self.latent_dim // 4) if self.style_dim is None else self.style_dim
        if not 0 < style_dim < self.latent_dim:
            raise ValueError(
                f"style_dim={style_dim}: expected 1 or more, and less than "
                f"latent_dim={self.latent_dim}, of which the rest is content"
            )
        object.__setattr__(self, "style_dim", style_dim)

    @property
    def content_dim(self) -> int:
        return self.latent_dim - self.style_dim

    def __call__(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Content [..., content_dim] and style [..., style_dim]."""
        return codes.split([self.content_dim, self.style_dim], dim=-1)


class ProjectsParts:
    """What methods share that have `parts`, a Partition, and a projector on each of the two."""

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
