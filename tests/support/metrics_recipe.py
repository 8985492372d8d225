"""Factors and codes that are the same on every machine: the recipes behind the known scores.

They rest on numpy.random.RandomState, whose stream NumPy keeps for ever. See
`papers/disentanglement.md`, sections 1.5 and 2.12, for the numbers that belong to them.
"""

from __future__ import annotations

import numpy as np

DSPRITES = (3, 6, 40, 32, 32)
SMALL = (3, 4, 5, 6, 8)


def factors(seed: int, n: int, sizes=DSPRITES) -> np.ndarray:
    draw = np.random.RandomState(seed)
    return np.stack([draw.randint(size, size=n) for size in sizes], 1)


def standard(values: np.ndarray, sizes=DSPRITES) -> np.ndarray:
    """Uniform factors with mean 0 and variance 1: the perfect code."""
    sizes = np.array(sizes)
    return (values - (sizes - 1) / 2) / np.sqrt((sizes**2 - 1) / 12)


def rotation(seed: int, d: int) -> np.ndarray:
    q, r = np.linalg.qr(np.random.RandomState(seed).randn(d, d))
    return q * np.sign(np.diag(r))


def codes(name: str, values: np.ndarray, sizes=DSPRITES, weights: int = 10, noises: int = 20):
    """A code of `values` [N, 5]; `weights` and `noises` are where its seeds start."""
    c, n = standard(values, sizes), len(values)

    def noise(seed: int, d: int) -> np.ndarray:
        return np.random.RandomState(noises + seed).randn(n, d)

    def mix(seed: int, d: int) -> np.ndarray:
        return c @ np.random.RandomState(weights + seed).randn(5, d) / 5**0.5

    make = {
        "perfect": lambda: c,
        "permuted": lambda: c[:, [3, 4, 0, 1, 2]] * [1, -2, 3, -4, 5],
        "rotated": lambda: c @ rotation(weights + 1, 5),
        "noise": lambda: noise(2, 10),
        "perfect+noise": lambda: np.hstack([c, noise(3, 5)]),
        "duplicated": lambda: np.hstack([c, c]),
        "merged": lambda: np.stack([c[:, 0] + c[:, 1], 0 * c[:, 1], *c.T[2:]], 1),
        "tanh": lambda: np.tanh(mix(4, 64)) + 0.1 * noise(5, 64),
        "planted": lambda: np.hstack(
            [mix(6, 40) + 0.1 * noise(8, 40), c.repeat(2, axis=1) + 0.1 * noise(7, 10)]
        ),
        "missing": lambda: np.hstack([np.delete(c, 2, 1), noise(9, 46)]),
    }
    return make[name]()


def entangled(values: np.ndarray, d: int) -> np.ndarray:
    """A random linear mix of all factors into d codes."""
    mix = standard(values) @ np.random.RandomState(7).randn(5, d) / 5**0.5
    return mix + 0.1 * np.random.RandomState(8).randn(len(values), d)
