"""What a probe is given, as tensors that it can rely on; ValueError for anything else."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mdlib.checks import as_tensor, check_exact, check_finite, need
from mdlib.types import Values

_FAR = 2.0**50  # deviations: the square of more might be no float32


def as_codes(codes: Values, name: str) -> Tensor:
    """Finite codes [N, D] on their device, float64 if they are, else float32; or ValueError."""
    codes = as_tensor(codes, name)
    device = "cpu" if codes.device.type == "mps" else codes.device  # MPS lacks float64
    codes = codes.to(device, codes.dtype if codes.dtype == torch.float64 else torch.float32)
    need(
        codes.ndim == 2 and 0 not in codes.shape,
        f"{name} have shape {list(codes.shape)}, expected [samples, dimensions] and not empty: "
        "flatten maps with codes.flatten(1)",
    )
    check_finite(name, codes)
    return codes


def checked_codes(train: Values, test: Values) -> tuple[Tensor, Tensor]:
    """Both sets of codes as [*, D] on one device in one precision, or ValueError."""
    train = as_codes(train, "train codes")
    test = as_codes(test, "test codes").to(train)
    check_finite("test codes", test)  # in the precision of the others, too
    need(
        train.shape[1] == test.shape[1],
        f"train codes have {train.shape[1]} features and test codes {test.shape[1]}, expected as "
        "many: use one encoder for both",
    )
    return train, test


def checked_targets(name: str, targets, codes: Tensor, dtype: torch.dtype) -> Tensor:
    """Targets on the codes' device: classes, int64 [N], or values, float64 [N] or [N, T]."""
    targets, n = as_tensor(targets, f"{name} targets"), len(codes)
    shapes, label = f"[{n}]", dtype == torch.int64
    if not label:
        shapes += f" or [{n}, T]"
    need(
        targets.ndim in ((1,) if label else (1, 2))
        and 0 not in targets.shape
        and len(targets) == n,
        f"{name} targets have shape {list(targets.shape)}, expected {shapes}, one for each code",
    )
    need(
        not label or not (targets.dtype == torch.bool or targets.is_floating_point()),
        f"{name} targets are {targets.dtype}, expected integer classes: number them with "
        "numpy.unique(targets, return_inverse=True), or take a regression probe if they are "
        "continuous",
    )
    check_finite(f"{name} targets", targets)
    if not label:
        check_exact(f"{name} targets", targets)
    return targets.to(codes.device).to(dtype)


def checked_classes(
    train_targets, test_targets, x: Tensor, new: Tensor, least: int, why: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Class names [C], training labels 0 … C−1 [N], how many of each [C], and test classes [M].

    ValueError unless there are two classes or more, with at least `least` training samples each
    (`why` says what for), and no others in the test set.
    """
    labels = checked_targets("train", train_targets, x, torch.int64)
    truth = checked_targets("test", test_targets, new, torch.int64)
    classes, y, counts = labels.unique(return_inverse=True, return_counts=True)
    rare, fewest = int(classes[counts.argmin()]), int(counts.min())
    unseen = truth[~torch.isin(truth, classes)].unique()
    need(len(classes) > 1, f"train targets are all {rare}, expected at least 2 classes")
    need(
        fewest >= least,
        f"class {rare} has {fewest} training sample{'s' * (fewest > 1)}, expected at least {least}"
        f"{why}: add samples or leave the class out",
    )
    need(
        len(unseen) == 0,
        f"test classes {unseen.tolist()} are not in training: leave them out, or split anew",
    )
    return classes, y, counts, truth


def unit_of(size: Tensor) -> Tensor:
    """What to multiply numbers as large as `size` [...] by, so that their squares are numbers, too.

    A power of two, which rounds nothing; 1 for all but the oddest sizes.
    """
    limits = torch.finfo(size.dtype)
    far = (size > 0) & ((size < limits.max**-0.2) | (size > limits.max**0.2))
    size = size.clamp(limits.tiny, limits.max / 4)
    return torch.where(far, size.frexp().mantissa / size, 1.0)


def standardise(
    train: Float[Tensor, "n d"], *others: Float[Tensor, "_ d"]
) -> tuple[Float[Tensor, "_ d"], ...]:
    """New tensors: `train` [N, D] with column means 0 and deviations 1, `others` [*, D] likewise.

    All are moved and scaled by the statistics of `train` (deviation with 1/N). A column that is
    constant in `train`, up to rounding, tells nothing there and becomes 0 in every output; what
    lies beyond 2^50 deviations in `others` counts as that far.
    """
    size = train.abs().amax(0)
    unit = unit_of(size)
    shift = train[:1] * unit  # taken off first: a large mean costs no digits of the deviation
    std, mean = torch.std_mean(train * unit - shift, dim=0, correction=0)
    constant = std <= 2 * torch.finfo(train.dtype).eps * size * unit
    scale = torch.where(constant, 0.0, 1 / std)
    unit = torch.where(constant, 0.0, unit)  # or far values there might become 0 · infinity
    return tuple(
        ((codes * unit - shift - mean) * scale).clamp_(-_FAR, _FAR) for codes in (train, *others)
    )
