"""What the experiments have in common, so that "the same protocol" is one piece of code.

Splits and settings of a run; fresh views of a split with all that is known of them; the parts of a
code, and what it says of style; how much of its variance lies within the views of an image; swaps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from mdlib.checks import check_whole, need
from mdlib.data.base import Dataset, in_turn, stratified
from mdlib.evaluation import probes
from mdlib.evaluation.inputs import unit_of
from mdlib.evaluation.views_classifier import Columns, ViewsClassifier
from mdlib.methods.partition import Partition
from mdlib.registry import random_stream
from mdlib.types import Law
from mdlib.views import BINARY, style

# (codes, targets, test codes, test targets) → what the probe found
Probe = Callable[[Tensor, Tensor, Tensor, Tensor], probes.ProbeResult]


def held_out(split: Dataset, fraction: float = 0.2) -> tuple[Dataset, Dataset]:
    """A training set for a tuning run: what is left to learn from, and the part that tests.

    The same rows each time, with the classes' proportions. Who tunes must not see the test set.
    """
    need(0 < fraction < 1, f"fraction={fraction}: expected a number between 0 and 1")
    kept, held = stratified(split.labels.cpu().numpy(), test_fraction=fraction)
    return split.subset(kept), split.subset(held)


def settings(
    trial: Mapping[str, Any] | None, lr: float, option: str, default_lr: float = 1e-3
) -> tuple[float, str]:
    """Learning rate and option of a run: as given, else those of the best trial of a tuning sweep.

    `trial` is what `sweep.best` found, None for nothing; then the rate is `default_lr`. A rate
    above 0 is "given", and the trial then counts for nothing.
    """
    if lr:
        return lr, option
    trial = trial or {}
    return trial.get("lr", default_lr), option or trial.get("option", "")


@dataclass(frozen=True, eq=False)
class FreshViews:
    """Views, their classes, the columns of their style by name, and whose views they are.

    `rows` are the images' places in the split.
    """

    images: Float[Tensor, "views channels height width"]
    labels: Int[Tensor, " views"]
    styles: Mapping[str, Shaped[Tensor, " views"]]
    rows: Int[Tensor, " views"]

    @property
    def truth(self) -> Shaped[Tensor, "views columns"]:
        """All columns of style side by side."""
        return torch.stack([*self.styles.values()], 1)


def fresh_views(
    split: Dataset,
    law: Law,
    n: int,
    seed: int,
    *,
    columns: Columns = style,
    shuffled: bool = False,
    inputs: Tensor | None = None,
) -> FreshViews:
    """n views of a split's images, one an image, by `mdlib.data.base.in_turn`.

    Args:
        split: images and labels, on the device where the views are to be.
        law: of the views, as `mdlib.views.Views`.
        n, seed: how many, and the seed of all that is drawn.
        columns: makes the style's columns of a view's parameters.
        shuffled: take the images in an order drawn by the seed.
        inputs: what the law takes in place of the split's images, a row an image.
    """
    check_whole(1, n=n)
    device = split.labels.device
    draw = random_stream(seed, device)
    if shuffled:
        rows = torch.arange(n, device=device) % len(split)
        rows = torch.randperm(len(split), generator=draw, device=device)[rows]
    else:
        rows = in_turn(split.labels, n).to(device)
    images, parameters = law((split.images if inputs is None else inputs)[rows], 1, draw)
    styles = {name: column[:, 0] for name, column in columns(parameters).items()}
    return FreshViews(images[:, 0], split.labels[rows], styles, rows)


def read_style(
    codes: Float[Tensor, "train dim"],
    styles: Mapping[str, Tensor],
    test_codes: Float[Tensor, "test dim"],
    test_styles: Mapping[str, Tensor],
    regress: Callable[..., probes.R2Result] = probes.knn_regression,
    classify: Probe = probes.mlp,
) -> dict[str, float]:
    """What codes say of each column of style: R² of real numbers, the accuracy of flips.

    Real columns first. Their R² are those of one regression of all, which is the same as one each.
    """
    real = [name for name in styles if name not in BINARY]
    found = {}
    if real:
        truth, test_truth = (torch.stack([s[n] for n in real], 1) for s in (styles, test_styles))
        r2 = regress(codes, truth, test_codes, test_truth).per_target
        found = dict(zip(real, r2.tolist(), strict=True))
    for name in styles:
        if name in BINARY:
            truth, test_truth = styles[name].long(), test_styles[name].long()
            found[name] = classify(codes, truth, test_codes, test_truth).score
    return found


def mean_style(found: Mapping[str, float]) -> float:
    """The mean of `read_style`, in which guessing is 0: R², and 2a − 1 for a flip's accuracy a."""
    above = [2 * score - 1 if name in BINARY else score for name, score in found.items()]
    return sum(above) / len(above)


def levels(
    method, images: Shaped[Tensor, "images channels height width"], style_dim: int
) -> dict[str, Float[Tensor, "images _"]]:
    """The codes of images by part: "c", "s" and "both", and behind projectors "z c" and "z s".

    A loss behind a projector leaves the encoder free to keep what the projector drops, so a part is
    to be read at both levels. Of a method without parts the last `style_dim` dimensions are called
    style, and what its one projector gives is "z c".
    """
    codes = method.encode(images)
    c, s = getattr(method, "parts", Partition(codes.shape[1], style_dim))(codes)
    found = {"c": c, "s": s, "both": codes}
    if hasattr(method, "project_parts"):
        found["z c"], found["z s"] = method.project_parts(images)
    elif head := getattr(method, "projector", getattr(method, "head", None)):
        with torch.no_grad(), method.evaluating():
            found["z c"] = head(codes).float()
    return found


def codes_of_views(
    method, law: Law, images: Tensor, members: int, seed: int
) -> Float[Tensor, "images members dim"]:
    """Codes of `members` fresh views of each image."""
    draw = random_stream(seed, images.device)
    views, _ = law(images, members, draw)
    return method.encode(views.flatten(0, 1)).unflatten(0, views.shape[:2])


def within_share(codes: Float[Tensor, "images members dim"]) -> tuple[float, float]:
    """W/T and T of the codes of several views an image, each summed over dimensions.

    T is the variance of all codes, W that within the views of an image; both with 1/N. The share is
    0 where the views of an image coincide, as where all codes do, and 1 where images do.
    """
    need(codes.shape[1] > 1, f"codes {list(codes.shape)}: expected two views an image, or more")
    codes = codes if codes.dtype == torch.float64 else codes.float()
    size = codes.abs().amax()
    unit = unit_of(size)
    within = (codes * unit).var(1, correction=0).mean(0).sum()
    total = (codes * unit).flatten(0, 1).var(0, correction=0).sum()
    rounding = codes.shape[2] * (2 * torch.finfo(codes.dtype).eps * size * unit).square()
    share = within / total if total > rounding else torch.zeros(())
    return share.item(), total.item() / unit.item() / unit.item()


def swapped(
    method,
    code_a: Float[Tensor, "pairs dim"],
    code_b: Float[Tensor, "pairs dim"],
    centre_b: Float[Tensor, "pairs dim"] | None = None,
) -> Float[Tensor, "pairs channels height width"]:
    """Images with the content of A in the style of B, decoded.

    A code in two parts (`method.parts`) has one for each. In a code without, style is how far B
    lies from `centre_b`, the mean code of views of its image, and A moves as far. ValueError for
    such a method without a centre.
    """
    if hasattr(method, "parts"):
        (content, _), (_, style_part) = method.parts(code_a), method.parts(code_b)
        return method.swap(content, style_part)
    if centre_b is None:
        raise ValueError(
            f"{type(method).__name__} has a code without parts: expected centre_b, the mean codes "
            "of views of B's images"
        )
    return method.decode(code_a + code_b - centre_b)


def swap_sheet(
    contents: Float[Tensor, "rows channels height width"],
    styles: Float[Tensor, "columns channels height width"],
    swap: Callable[[Tensor, Tensor], Tensor],
) -> Float[Tensor, "rows_and_1 columns_and_1 channels height width"]:
    """All pairs: contents down the side, styles along the top, their swaps inside; a white corner.

    `swap` makes images [N, C, H, W] of N contents and N styles.
    """
    rows, columns = len(contents), len(styles)
    pairs = swap(contents.repeat_interleave(columns, 0), styles.repeat(rows, 1, 1, 1))
    corner = torch.ones_like(styles[:1])
    inside = torch.cat([contents[:, None], pairs.unflatten(0, (rows, columns))], 1)
    return torch.cat([torch.cat([corner, styles])[None], inside])


def verdicts(
    classifier: ViewsClassifier,
    images: Float[Tensor, "pairs channels height width"],
    class_a: Int[Tensor, " pairs"],
    class_b: Int[Tensor, " pairs"],
    style_b: Float[Tensor, "pairs columns"],
) -> tuple[dict[str, float], list[float]]:
    """What a classifier sees in swaps: the shares that show A's class and B's; R² of B's style.

    The shares are over the pairs whose classes differ; of others a class tells nothing. ValueError
    where there are none.
    """
    different = class_a != class_b
    need(bool(different.any()), "all pairs have A and B of one class: expected some that differ")
    classes, seen = classifier.predict(images)
    shares = {
        f"swap: class {name}": (classes == of)[different].float().mean().item()
        for name, of in (("A", class_a), ("B", class_b))
    }
    return shares, probes.r2(seen, style_b).tolist()
