"""What VAEs with a code in two parts have in common: contents that change places."""

from __future__ import annotations

import torch
from torch import Tensor

from mdlib.methods.partition import Partition
from mdlib.methods.vae import VAE


class TwoPartVAE(VAE):
    """A VAE with code [content | style]: `parts(codes)` gives the two.

    See `Partition` for `style_dim`.
    """

    def __init__(self, *, style_dim: int | None = None, **common):
        super().__init__(**common)
        self.parts = Partition(self.latent_dim, style_dim)

    def exchanged(self, z: Tensor, views: Tensor) -> tuple[Tensor, Tensor]:
        """−log p of views from their own style with their own content, and with another view's.

        z [B, J, D] and views [B, J, C, H, W] → two scalars in nats a view; the second is the mean
        over all ordered pairs of views of an image. It needs 2 or more.
        """
        members = views.shape[1]
        content, style = self.parts(z)
        # [b, i, j]: view i of image b, from its own style and the content of view j.
        content = content[:, None].expand(-1, members, -1, -1)
        style = style[:, :, None].expand(-1, -1, members, -1)
        logits = self.decoder(torch.cat([content, style], -1).flatten(0, 2)).float()
        images = views[:, :, None].expand(-1, -1, members, -1, -1, -1).flatten(0, 2)
        nll = self.reconstruction_nll(logits, images).view(-1, members, members)
        own = nll.diagonal(dim1=1, dim2=2)
        others = nll.sum((1, 2)) - own.sum(1)
        return own.mean(), others.mean() / (members * (members - 1))

    def swap(self, content: Tensor, style: Tensor) -> Tensor:
        """Images [N, C, H, W] in [0, 1], decoded from the content part of N codes and the style
        part of N others."""
        return self.decode(torch.cat([content, style], dim=1))
