"""Every learner under one face: `loss(views)`, `encode(images)`, `after_step(step, steps)`.

To add a method: write one file with a subclass of `methods.base.Method`, and add its line to
`REGISTRY`. Its own options are keyword arguments with defaults, whose annotations say what they may
be (`create` looks: `mdlib.checks.check_options`). A `**common` after them stands for those of its
parent.
"""

from __future__ import annotations

import inspect
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING

from mdlib.checks import check_options, defaults, need
from mdlib.registry import Registry, seeded

if TYPE_CHECKING:
    from mdlib.methods.base import Method

REGISTRY: Registry[type[Method]] = Registry(
    "method",
    {
        "vae": "mdlib.methods.vae:VAE",
        "beta_vae": "mdlib.methods.beta_vae:BetaVAE",
        "annealed_vae": "mdlib.methods.annealed_vae:AnnealedVAE",
        "factor_vae": "mdlib.methods.factor_vae:FactorVAE",
        "beta_tcvae": "mdlib.methods.beta_tcvae:BetaTCVAE",
        "dip_vae": "mdlib.methods.dip_vae:DIPVAE",
        "hfs_vae": "mdlib.methods.hfs_vae:HFSVAE",
        "simve": "mdlib.methods.simve:SimVE",
        "gvae": "mdlib.methods.group_vae:GroupVAE",
        "ml_vae": "mdlib.methods.ml_vae:MLVAE",
        "cr_vae": "mdlib.methods.cr_vae:CRVAE",
        "mixture_vae": "mdlib.methods.mixture_vae:MixtureVAE",
        "partitioned_vae": "mdlib.methods.partitioned_vae:PartitionedVAE",
        "swap_vae": "mdlib.methods.swap_vae:SwapVAE",
        "infonce": "mdlib.methods.infonce:InfoNCE",
        "instance": "mdlib.methods.instance:InstanceDiscrimination",
        "byol": "mdlib.methods.byol:BYOL",
        "partitioned_byol": "mdlib.methods.partitioned_byol:PartitionedBYOL",
        "augself": "mdlib.methods.augself:AugSelf",
        "simsiam": "mdlib.methods.simsiam:SimSiam",
        "ddcl": "mdlib.methods.ddcl:DDCL",
        "barlow": "mdlib.methods.barlow:BarlowTwins",
        "vicreg": "mdlib.methods.vicreg:VICReg",
        "wmse": "mdlib.methods.wmse:WMSE",
        "moco": "mdlib.methods.moco:MoCo",
        "swav": "mdlib.methods.swav:SwAV",
        "directpred": "mdlib.methods.directpred:DirectPred",
        "supervised": "mdlib.methods.supervised:Supervised",
    },
)


def names() -> list[str]:
    """The names that `create` takes, in the order of the registry."""
    return list(REGISTRY)


def find(name: str) -> type[Method]:
    """The class of that name, imported now; ValueError for an unknown one."""
    return REGISTRY[name]


def create(
    name: str, *, image_shape: tuple[int, int, int], latent_dim: int, seed: int = 0, **options
) -> Method:
    """A freshly initialised method for images of shape (C, H, W), with codes [N, latent_dim].

    `seed` decides the initial weights and touches no global random state. Raises ValueError for an
    unknown method or option, naming the valid ones, and for an option out of its range.
    """
    REGISTRY.check_counted(name)
    cls = find(name)
    valid = _options(cls)
    check_options(f"option of method {name!r}", valid, options)
    with seeded(seed):
        method = cls(image_shape=tuple(image_shape), latent_dim=latent_dim, **options)
    method.options, method.seed = options_of(cls) | options, int(seed)
    return method


def all_options() -> set[str]:
    """The names of the options of all methods."""
    return {option for name in REGISTRY for option in options_of(find(name))}


def check_taken(option: str, value: float) -> None:
    """ValueError, in the words of one, if no method that has the option takes the value."""
    words = None
    for name in REGISTRY:
        valid = _options(find(name))
        if option in valid:
            try:
                return check_options(f"option of method {name!r}", valid, {option: value})
            except ValueError as error:
                words = error
    if words:
        raise words


def options_of(cls: type) -> dict[str, object]:
    """A method's options and their defaults, beside image_shape and latent_dim."""
    return {name: option.default for name, option in _options(cls).items()}


@cache
def _options(cls: type) -> dict[str, inspect.Parameter]:
    hands_on = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(cls).parameters.values())
    return (_options(cls.__mro__[1]) if hands_on else {}) | defaults(cls)


def parse_options(text: str) -> dict[str, int | float]:
    """The options in "NAME=NUMBER, NAME=NUMBER"; none in "". ValueError for anything else."""
    found: dict[str, int | float] = {}
    for part in text.split(",") if text else []:
        name, _, value = (piece.strip() for piece in part.partition("="))
        try:
            number = int(value) if value.isdigit() else float(value)
            need(isfinite(float(value)), "not finite")
        except ValueError:
            raise ValueError(
                f"option={text!r}: expected NAME=NUMBER, as in temperature=0.2, or several with"
                " commas between them"
            ) from None
        need(name not in found, f"option={text!r}: {name!r} is there twice")
        found[name] = number
    return found


__all__ = ["REGISTRY", "create", "find", "names", "options_of", "parse_options"]
