"""What a run's data set must be for its parameters, asked before a kernel starts."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from mdlib.checks import need

if TYPE_CHECKING:
    from torch import Tensor

    from mdlib.data.base import Facts

# the parameters that `check` looks at: what it says of one run it says of all that share these
LOOKED_AT = (
    *("dataset", "size", "image_size", "max_images", "learn_from", "batch_size", "arch"),
    *("probe_views", "few"),
)
_NARROW = 3  # how many times wider than high images may be, or the other way round
_FEW = 20  # images a class: of more than these, none is missed by chance


def check(
    dataset: str,
    values: Mapping[str, Any],
    data_root: str | os.PathLike | None,
    classes: bool = True,
) -> None:
    """Raise what loading, training or probing would raise that can be told beforehand.

    By files' headers; and by labels where so few images are drawn, or seen by a probe, that a class
    may be missing. (Chapters that draw their probes' views in an order of their own see others.)

    Args:
        dataset: a name, or ``images:PATH``.
        values: the run's parameters, of which those with customary names are looked at.
        data_root: where the data sets lie; None for the usual places.
        classes: whether a chapter may ask codes for the images' classes.

    Raises:
        ValueError, OSError: as `mdlib.data.check`; more memory than there is; an architecture that
            the images do not fit; a batch larger than the training set.
    """
    from mdlib import data

    size = values.get("size") or values.get("image_size") or None
    most = values.get("max_images") or None
    limits = {name: n for name, n in (("size", size), ("max_images", most)) if n}
    data.check(dataset, root=data_root, **limits)
    own, arch = dataset.startswith("images:"), values.get("arch")
    batch_size = values.get("batch_size")
    asked = any(map(values.get, ("probe_views", "few")))
    if not (limits or arch or batch_size or asked or (own and "size" in values)):
        return
    # Named sets may be drawn to be described, so not at a size that nobody has looked at yet.
    facts = data.describe(dataset, data_root, size if own else None)
    if size:
        facts = replace(facts, image_shape=(facts.image_shape[0], size, size))
    n = min(facts.n_train, most or facts.n_train)
    if own and "size" in values:
        _check_not_narrow(facts)
    if size and not own:  # of a folder, `data.check` asks for memory
        from mdlib.data.decode import need_memory

        need_memory(dataset, (n, *facts.image_shape))
    if arch:
        _check_architecture(arch, facts)
    n = min(n, values.get("learn_from") or math.inf)
    need(
        not batch_size or batch_size <= n,
        f"parameter 'batch_size' is {batch_size}, more than the {n} images that {dataset} trains "
        f"on here: give {n} or less",
    )
    if own or classes:
        _check_drawn(facts, data_root, values, own)


def _check_not_narrow(facts: Facts) -> None:
    _, height, width = facts.image_shape
    need(
        max(height, width) <= _NARROW * min(height, width),
        f"{facts.name}: images of {width}×{height} are more than {_NARROW} times longer on one "
        "side, so that all crops have the whole of the other: pass size=64, say (on the command "
        "line -p size 64), to take a square out of each",
    )


def _check_architecture(arch: str, facts: Facts) -> None:
    import torch

    from mdlib import nets

    if arch in nets.ENCODERS:
        with torch.device("meta"):  # no weights are made
            nets.encoder(arch, facts.image_shape, 1)


def _check_drawn(
    facts: Facts, data_root: str | os.PathLike | None, values: Mapping[str, Any], own: bool
) -> None:
    """ValueError where the images that are drawn, or those among them that a probe's views are of,
    leave a classifier without what it needs, or a class without the few labels it is to have."""
    import torch

    from mdlib import data
    from mdlib.data.base import in_turn, sampled
    from mdlib.data.folder import Folder

    most, views, few = (values.get(name) for name in ("max_images", "probe_views", "few"))
    most, views = (n if n and n < facts.n_train else None for n in (most, views))
    classes, counts = len(facts.class_names), facts.train
    enough = max(_FEW, 2 * (few or 0)) * classes
    if own:
        listing = Folder(facts.name).listing
        parts = [torch.from_numpy(listing.labels[listing.rows[s]]) for s in ("train", "test")]
        drawn = [sampled(len(labels), most) for labels in parts]
        parts = [y if rows is None else y[rows] for y, rows in zip(parts, drawn, strict=True)]
    elif min(most or math.inf, views or math.inf) < enough:
        load = partial(data.load, facts.name, root=data_root, max_images=most)
        parts = [load(split).labels for split in ("train", "test")]
    else:
        parts = []
    if parts:
        counts, _ = _counted(parts, classes)
        seen = [y[in_turn(y, min(views or len(y), len(y)))] for y in parts]
        for name, n, of in ("max_images", most, parts), ("probe_views", views, seen):
            if n is None:
                continue
            train, test = _counted(of, classes)
            try:
                replace(facts, train=train, test=test).refuse_if_no_probe_can_be_fitted()
            except ValueError as error:
                raise ValueError(f"{error}; or give a larger {name}, of {n} this is so") from None
    least = min(n for n in counts if n)
    need(
        not few or few <= least,
        f"parameter 'few' is {few}, more than the {least} training images that one of the classes "
        f"of {facts.name} has here: give {least} or less",
    )


def _counted(parts: list[Tensor], classes: int) -> list[tuple[int, ...]]:
    return [tuple(labels.bincount(minlength=classes).tolist()) for labels in parts]
