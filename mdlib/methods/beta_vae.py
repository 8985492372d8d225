"""β-VAE: a VAE that pays more for its KL."""

from __future__ import annotations

from mdlib.methods.vae import VAE
from mdlib.types import NotNegative


class BetaVAE(VAE):
    """Higgins et al. 2017: reconstruction + beta · KL(q(z|x) ‖ N(0, I)). With beta = 1, the VAE."""

    title = "β-VAE"
    colour = "#56b4e9"

    def __init__(self, *, beta: NotNegative = 4.0, **common):
        super().__init__(**common)
        self.term_weights = {"kl": beta}
