"""The variants that the experiments on codes in two parts compare, by the names of their rows."""

from __future__ import annotations

from typing import Any

from mdlib.registry import Registry

# name: the method, and its options where they are not the defaults
DECODING: dict[str, tuple[str, dict[str, Any]]] = {
    "vae": ("vae", {}),
    "cr_vae": ("cr_vae", {"consistency_weight": 1.0}),
    "ml_vae": ("ml_vae", {}),
    "gvae": ("gvae", {}),
    "swap_vae": ("swap_vae", {}),
    "align_repel": (
        "partitioned_vae",
        {"swap": False, "align_weight": 1.0, "repel_weight": 5.0},
    ),
    "partitioned_vae": ("partitioned_vae", {}),
    "warm_vae": (  # a plain VAE with the partitioned VAE's warm-up, and nothing else of it
        "partitioned_vae",
        {"swap": False, "content_kl": "view", "align_weight": 0.0, "style_beta": 1.0},
    ),
}
PARTITIONED_BYOL: dict[str, tuple[str, dict[str, Any]]] = {
    name: ("partitioned_byol", options)
    for name, options in {
        "two_heads": {"style_term": "attract", "style_weight": 2.0},
        "none": {"style_term": "none"},
        "repel_predicted": {"style_term": "repel_predicted"},
        "repel": {"style_term": "repel"},
        "orthogonal": {"style_term": "orthogonal", "style_weight": 4.0},
        "augmentation": {"style_term": "augmentation", "style_weight": 1.0},
        "shared": {"style_term": "shared"},
        "shared_contrast": {"style_term": "shared_contrast"},
    }.items()
}
VARIANTS: Registry[tuple[str, dict[str, Any]]] = Registry(
    "variant",
    DECODING
    | {name: (name, {}) for name in ("infonce", "byol")}
    | PARTITIONED_BYOL
    | {name: (name, {}) for name in ("augself", "ddcl")},
)
TITLES = {
    "align_repel": "align + repel VAE",
    "warm_vae": "VAE, with warm-up",
    "two_heads": "BYOL, two heads",
    "none": "style: no loss",
    "repel_predicted": "style: repel, predictor",
    "repel": "style: repel",
    "orthogonal": "style: orthogonal",
    "augmentation": "style: tells the views",
    "shared": "style: attract, same view",
    "shared_contrast": "style: contrast, same view",
    "untrained vae": "untrained",
    "untrained byol": "untrained",
}
