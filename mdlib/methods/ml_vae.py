"""ML-VAE: a group VAE whose views vote for the content by their precision."""

from __future__ import annotations

from mdlib.methods.group_vae import GroupVAE


class MLVAE(GroupVAE):
    """Bouchacourt et al. 2018 (arXiv:1705.08841): q(c|x¹ … xᴶ) is the product of the views' own.

    The group VAE with pooling="product" as its default. Their code draws a c for each view out of
    that one posterior; here one draw serves all.
    """

    title = "ML-VAE"
    colour = "#3d6410"

    def __init__(self, *, pooling: str = "product", **common):
        super().__init__(pooling=pooling, **common)
