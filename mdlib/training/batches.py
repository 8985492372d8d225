"""Where a step's batch comes from: views drawn anew of images, or of anything else.

A *source* has `len(source)` samples, of which `fit` deals each batch by their rows; it draws the
views of those rows, and says what it is, so that a checkpoint knows its data. `ImageViews` is the
usual one, and `SampleViews` its parent for samples that are no images::

    fit(method, ImageViews(train.images, Views(hflip=0.5)), steps=1000)
    fit(method, SampleViews(train.factors, redrawn), steps=1000)  # redrawn looks images up

One of your own needs what `Source` lists, and no base class.
"""

from __future__ import annotations

import hashlib
import re
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial
from numbers import Number
from types import BuiltinFunctionType, FunctionType, MethodType, SimpleNamespace
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float, Integer, Shaped, UInt8
from torch import Tensor, nn

from mdlib.checks import as_tensor, check_whole, need
from mdlib.types import Law


@dataclass(frozen=True)
class Batch:
    """J views of each of B samples, [B, J, …], and what a loss may want to know beside them.

    A method's `uses` names its `extras`: "labels", int64 [B], a class a sample; "parameters", the
    dict of [B, J, k] that made the views; "index", int64 [B], the samples' rows in the source.
    """

    views: Float[Tensor, "batch views ..."]
    extras: Mapping[str, Any] = field(default_factory=dict)

    def extras_for(self, method: Any) -> dict[str, Any]:
        """The extras that `method` uses; ValueError where one is not here."""
        name, uses = type(method).__name__, getattr(method, "uses", ())
        for wanted in uses:
            need(
                wanted in self.extras,
                f"{name} learns from {wanted}, and these batches have none: give their source's "
                f"draw an extra of that name",
            )
        return {wanted: self.extras[wanted] for wanted in uses}


class Source(Protocol):
    """What `fit` takes batches from.

    members: the J of views of each sample.
    labels: int64 [N], one a sample, or None.
    """

    members: int
    labels: Tensor | None

    def __len__(self) -> int:
        """How many samples there are."""

    def to(self, device: torch.device) -> Source:
        """The source with its tensors on `device`."""

    def draw(self, index: Tensor, generator: torch.Generator) -> Batch:
        """Views of the samples in rows `index`, int64 [B], all randomness from `generator`."""

    def fingerprint(self) -> Mapping[str, Any]:
        """What decides the batches, by name, as JSON can hold it: equal only for equal data.

        ValueError where the source can't tell. Only asked for a checkpoint.
        """


class SampleViews:
    """`members` random views by `law` of samples of any kind: counts, sequences, factors.

    Args:
        samples: [N, …]; kept whole, and moved to the device of the training.
        law: `law(samples [B, …], members, generator)` → views [B, J, …] and the parameters that
            made them, [B, J, k] each. For checkpoints it needs a `repr` that tells its settings.
        members: views of each sample, the J of a group.
        labels: integers [N], one a sample, for the methods that use them.

    Raises ValueError for no samples, members below 1, and labels that are not N integers.
    """

    def __init__(
        self,
        samples: Shaped[Tensor, "sample ..."],
        law: Law,
        members: int = 2,
        labels: Integer[Tensor, " sample"] | None = None,
    ):
        need(
            isinstance(samples, Tensor),
            f"samples are a {type(samples).__name__}, expected a tensor: torch.as_tensor makes one",
        )
        need(samples.ndim > 0 and len(samples) > 0, f"samples of {tuple(samples.shape)}: none here")
        need(callable(law), f"law={law!r}: expected a function such as mdlib.views.Views()")
        check_whole(1, members=members)
        if labels is not None:
            labels = as_tensor(labels, "labels")
            need(
                labels.shape == (len(samples),) and not labels.is_floating_point(),
                f"labels of {labels.dtype} {tuple(labels.shape)}: expected integers, one for each "
                f"of the {len(samples)} samples",
            )
            labels = labels.long()
        self.samples, self.law, self.members, self.labels = samples, law, int(members), labels

    def __len__(self) -> int:
        return len(self.samples)

    def to(self, device: torch.device) -> SampleViews:
        labels = None if self.labels is None else self.labels.to(device)
        return type(self)(self.samples.to(device), self.law, self.members, labels)

    def draw(self, index: Tensor, generator: torch.Generator) -> Batch:
        drawn = self.law(self.samples[index], self.members, generator)
        need(
            isinstance(drawn, tuple) and len(drawn) == 2 and isinstance(drawn[0], Tensor),
            f"the law of views {self.law!r} gave a {type(drawn).__name__}, expected views "
            f"[B, {self.members}, …] and the parameters that made them, a dict",
        )
        views, parameters = drawn
        need(
            views.ndim >= 2 and views.shape[:2] == (len(index), self.members),
            f"the law of views {self.law!r} gave {list(views.shape)}, expected "
            f"[{len(index)}, {self.members}, …]",
        )
        views = views.float() if views.is_floating_point() else views
        extras = {"parameters": parameters, "index": index}
        if self.labels is not None:
            extras["labels"] = self.labels[index]
        return Batch(views, extras)

    def fingerprint(self) -> dict[str, Any]:
        law = told(self.law)
        need(
            not re.search(r"\bat 0x[0-9a-fA-F]+|\.\.\.", law),
            f"the law of views {law} can't say what it is, so nobody could tell later whether a "
            f"checkpoint is of the same views: give it a __repr__ with all its settings (a "
            f"dataclass has one), or train without a checkpoint",
        )
        labels = None if self.labels is None else digest(self.labels)
        return {
            "views": law,
            "members": self.members,
            "data": digest(self.samples),
            "labels": labels,
        }


class ImageViews(SampleViews):
    """`members` random views by `law` of uint8 images [N, C, H, W]; see `SampleViews`."""

    def __init__(
        self,
        images: UInt8[Tensor, "image channels height width"],
        law: Law,
        members: int = 2,
        labels: Integer[Tensor, " image"] | None = None,
    ):
        need(
            isinstance(images, Tensor) and images.dtype == torch.uint8 and images.ndim == 4,
            f"images of {type(images).__name__} {getattr(images, 'dtype', '')} "
            f"{tuple(getattr(images, 'shape', ()))}: expected a tensor, uint8 [N, C, H, W]; for "
            f"other samples there is SampleViews",
        )
        super().__init__(images, law, members, labels)


def told(value: Any) -> str:
    """Its `repr`, with what that leaves out: the digits of tensors, and the settings of modules."""
    owner = value.__self__ if isinstance(value, MethodType) else value
    public = {k: v for k, v in getattr(owner, "__dict__", {}).items() if not k.startswith("_")}
    found = [*_unsaid(owner)] or [*_unsaid(public)]
    tensors = [part for part in found if isinstance(part, Tensor)]
    texts = [repr(value).replace("\n", " "), *(t for t in found if isinstance(t, str))]
    return " with ".join(texts) + (f" {digest(*tensors)}" if tensors else "")


def _unsaid(value: Any) -> Iterator[Tensor | str]:
    """Tensors and arrays of numbers in what holds such, and the settings of modules."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, np.ndarray) and value.dtype.kind in "buif":
        yield as_tensor(value)
    elif isinstance(value, nn.Module):
        torchs = vars(nn.Module())
        settings = {
            f"{name}.{key}".lstrip("."): held
            for name, module in value.named_modules()
            for key, held in vars(module).items()
            if key not in torchs and (not key.startswith("_") or is_plain(held))
        }
        yield str(settings)
        yield from _unsaid(settings)
        yield from value.state_dict().values()
    else:
        for part in _parts(value) or ():
            yield from _unsaid(part)


def is_plain(value: Any) -> bool:
    """Numbers, words, tensors and functions, alone or in containers."""
    parts = _parts(value)
    if parts is None:
        plain = (Number, str, Tensor, np.ndarray, FunctionType, BuiltinFunctionType)
        return value is None or isinstance(value, plain)
    return all(map(is_plain, parts))


def _parts(value: Any) -> list | None:
    """What is in a container, a dataclass, a namespace, or a function with a part of its arguments;
    None for anything else."""
    if isinstance(value, Mapping):
        return [*value, *value.values()]
    if isinstance(value, (tuple, list)):
        return [*value]
    if isinstance(value, partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, MethodType):
        return [value.__self__]
    if isinstance(value, (SimpleNamespace, Namespace)):
        return [*vars(value).values()]
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name, None) for field in fields(value)]
    return None


def digest(*tensors: Tensor) -> str:
    """A checksum of tensors: of their types, shapes and values in order."""
    result = hashlib.sha256()
    for tensor in tensors:
        result.update(f"{tensor.dtype} {list(tensor.shape)} ".encode())
        flat = tensor.detach().cpu().contiguous().flatten()
        result.update(flat.view(torch.uint8).numpy())
    return result.hexdigest()[:16]
