"""Pairs of images whose mutual information is exact, with no density known.

The reason is one theorem. Draw a class C, then x and y independently from that class. If each of
the two tells its class, then

    I(X; Y) = I(C; Y) − I(C; Y|X) = H(C),

for the chain rule gives I(X, C; Y) = I(C; Y) = I(X; Y) + I(C; Y|X), and the last term is zero.
On a finite list of labelled images the label is a function of the image (as long as no picture
appears under two labels), so this is exact for the list itself, memorised or not, mislabelled or
not. Same-class pairs as a yardstick: Lee et al. 2023, arXiv 2308.15704, and Lee & Rhee 2024, arXiv
2410.10924; the statements here are our own derivations.

All sources have the face of `mdlib.mi.tasks.Task`: samples are float32 in [0, 1] where images are
uint8, flattened to [n, D], as critics want them. There is no `log_ratio` of pixels; given a
classifier's p(c|x), `score_matrix_from_posteriors` is the optimal critic.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from mdlib import data
from mdlib.checks import check_known, check_whole
from mdlib.mi.tasks import LOG_2, Task, checked_device

# --- closed forms for same-class pairs ------------------------------------------------------------


def score_matrix_from_posteriors(p_x: Tensor, p_y: Tensor, prior: Tensor) -> Tensor:
    """The optimal critic of same-class pairs: log Σ_c p(c|x_i) p(c|y_j) / p(c), in nats.

    It's log p(x, y)/(p(x)p(y)), as x and y are independent given the class. `p_x` [n, M] and `p_y`
    [m, M] hold posteriors, a row a sample, and `prior` [M] the p(c); the result is [n, m] and −∞
    where no class is possible for both. With a classifier's posteriors it is a plug-in.
    Raises ValueError for shapes that differ and for rows that are no distributions.
    """
    for name, p in (("p_x", p_x), ("p_y", p_y), ("prior", prior[None])):
        if p.ndim != 2 or p.shape[1] != len(prior):
            raise ValueError(
                f"{name} has shape {list(p.shape)}, expected one column for each of the "
                f"{len(prior)} classes of the prior"
            )
        if not ((p >= 0).all() and ((p.sum(1) - 1).abs() < 1e-3).all()):
            raise ValueError(f"{name} isn't a distribution: expected rows ≥ 0 that sum to 1")
    if not (prior > 0).all():
        raise ValueError("a class has prior 0: leave it out")
    # In float64, for the product of two small posteriors is soon 0 in float32.
    return (p_x.double() / prior.double() @ p_y.double().T).log().to(p_x.dtype)


def optimal_infonce(classes: int, pairs: int) -> float:
    """The exact value of InfoNCE, nats, on `pairs` same-class pairs with the optimal critic.

    For M equally likely classes that can be told apart, log K − E[log(1 + B)] with
    B ~ Binomial(K − 1, 1/M): a row's own partner ties with the B others that share its class. It's
    below log K and rises to log M with K. Raises ValueError unless both numbers are at least 1.
    """
    ties = _mean_log_ties(classes, pairs, views=1)
    return math.log(pairs) - ties


def optimal_nt_xent(classes: int, pairs: int) -> float:
    """The same for SimCLR's 2K views: log(2K − 1) minus the mean NT-Xent loss, optimal critic.

    It's log(2K − 1) − E[log(1 + 2B)] with B as in `optimal_infonce`, for negatives come in pairs of
    views. Hence they aren't independent, and the value is no lower bound: it can exceed log M.
    """
    ties = _mean_log_ties(classes, pairs, views=2)
    return math.log(2 * pairs - 1) - ties


def _mean_log_ties(classes: int, pairs: int, views: int) -> float:
    """E[log(1 + views·B)], B ~ Binomial(pairs − 1, 1/classes)."""
    check_whole(1, classes=classes, pairs=pairs)
    from scipy.stats import binom  # slow to import

    ties = torch.arange(pairs, dtype=torch.float64)
    weights = torch.from_numpy(binom.pmf(ties.numpy(), pairs - 1, 1 / classes))
    return (weights * (views * ties).log1p()).sum().item()


# --- drawing by class -----------------------------------------------------------------------------


class ByClass:
    """Labelled rows, to draw from by class.

    `rows` [N, …] are float, or uint8 and shown as float in [0, 1]; `labels` [N] are integers. Class
    c is the c-th smallest label; `counts` [M] says how many rows each has. Row numbers are drawn on
    the generator's device; rows stay where they are, and only those that were drawn are moved.
    """

    def __init__(self, rows: Tensor, labels: Tensor):
        rows = torch.as_tensor(rows)
        labels = torch.as_tensor(labels, device=rows.device)
        if rows.ndim < 2 or labels.shape != rows.shape[:1] or 0 in rows.shape:
            raise ValueError(
                f"rows have shape {list(rows.shape)} and labels {list(labels.shape)}, expected "
                "[N, …] and [N], not empty"
            )
        if not (rows.dtype == torch.uint8 or rows.is_floating_point()):
            raise ValueError(f"rows are {rows.dtype}, expected uint8 or floating point")
        if labels.is_floating_point():
            raise ValueError(f"labels are {labels.dtype}, expected integers: use labels.long()")
        if not rows.isfinite().all():
            raise ValueError("rows contain NaN or infinity")
        self.rows = rows
        self.labels, classes, self.counts = labels.unique(return_inverse=True, return_counts=True)
        self._order = classes.argsort(stable=True)  # row numbers, class after class
        self._start = self.counts.cumsum(0) - self.counts

    def pick(self, classes: Tensor, generator: Generator | None) -> Tensor:
        """For each class [...] the number of one of its rows, int64 [...]."""
        return self._numbers(classes, _below(self._sizes(classes), generator))

    def pick_two(self, classes: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
        """Two different rows of each class, of which no class may have fewer."""
        size = self._sizes(classes)
        first = _below(size, generator)
        second = (first + 1 + _below(size - 1, generator)) % size  # any step but a full turn
        return self._numbers(classes, first), self._numbers(classes, second)

    def take(self, numbers: Tensor) -> Tensor:
        """The rows of these numbers [...], float32 [..., …]."""
        rows = self.rows[numbers.to(self.rows.device)].to(numbers.device)
        return rows.float() / 255 if rows.dtype == torch.uint8 else rows.float()

    def _sizes(self, classes: Tensor) -> Tensor:
        return self.counts.to(classes.device)[classes]

    def _numbers(self, classes: Tensor, places: Tensor) -> Tensor:
        places = self._start.to(classes.device)[classes] + places
        return self._order[places.to(self._order.device)].to(classes.device)


def _below(sizes: Tensor, generator: Generator | None) -> Tensor:
    """A uniform integer in [0, size) for each size, int64."""
    # The remainder favours the small ones by size/2⁶² only.
    return torch.randint(2**62, sizes.shape, generator=generator, device=sizes.device) % sizes


# --- the sources of pairs -------------------------------------------------------------------------


class SameClass(Task):
    """x and y are independent draws from one class: I = H(C) nats, log M for M equal classes.

    Args:
        rows: [N, …] float, or uint8, which is shown as float in [0, 1].
        labels: integers [N].
        balanced: classes are equally likely; otherwise by their share of the rows.
        distinct: never the same row twice. Then x also tells which row y is not, which adds
            Σ p(c) log(n_c/(n_c − 1)) for classes of n_c rows (different from each other).
    Raises:
        ValueError: shapes that don't fit, dtypes, NaN; `distinct` with a class of one row.

    `class_probabilities` [M], float64, goes by ascending label.
    """

    name = "same-class"

    def __init__(self, rows: Tensor, labels: Tensor, balanced: bool = True, distinct: bool = False):
        self._classes = ByClass(rows, labels)
        self._distinct = distinct
        counts = self._classes.counts.cpu().double()
        if distinct and counts.min() < 2:
            alone = self._classes.labels[counts.argmin()].item()
            raise ValueError(f"class {alone} has 1 row, expected 2 or more for distinct=True")
        weights = torch.ones_like(counts) if balanced else counts
        self.class_probabilities = p = weights / weights.sum()
        excess = (counts / (counts - 1)).log() if distinct else torch.zeros_like(p)
        self.information = (p * (excess - p.log())).sum().item()
        self.title = f"Same-class pairs, {len(p)} classes"

    def sample_rows(self, n: int, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """The row numbers of n pairs, int64 [n] each: for labels, or for features of the rows."""
        device = checked_device(n, generator)
        p = self.class_probabilities.float().to(device)  # MPS has no float64
        classes = torch.multinomial(p, n, replacement=True, generator=generator)
        if self._distinct:
            return self._classes.pick_two(classes, generator)
        return self._classes.pick(classes, generator), self._classes.pick(classes, generator)

    def sample(self, n: int, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        x, y = self.sample_rows(n, generator)
        return self._classes.take(x).flatten(1), self._classes.take(y).flatten(1)


def of_split(
    dataset: str,
    split: str,
    *,
    size: int = 0,
    max_images: int | None = None,
    device: torch.device | str = "cpu",
) -> tuple[data.Dataset, Float[Tensor, "n pixels"], SameClass]:
    """A split of a data set, its images flat in [0, 1], and same-class pairs of them.

    `size` 0: as they are, but digits 8×8, as small as they were published. Raises as `data.load`.
    """
    given = size or (8 if dataset == "digits" else None)
    rows = data.load(dataset, split, size=given, max_images=max_images).to(device)
    return rows, rows.images.flatten(1).float() / 255, SameClass(rows.images, rows.labels)


class BinaryChannel(Task):
    """Any amount of information: bits shown as images, some of which flip on the way to y.

    x shows `bits` fair bits, each as a random image of class 0 or 1, side by side; y shows the same
    bits, each flipped with probability p, as new images. With h the binary entropy in nats,
    I = bits·(log 2 − h(p)): p, `flip_probability`, is solved for the wanted `information`.

    Args:
        zeros, ones: images [N₀, …, W] and [N₁, …, W] of the two classes, both float or uint8.
            A sample is an image [n, …, bits·W], flattened.
        information: in nats, 0 to bits·log 2.
        bits: how many images make up a sample.
    Raises:
        ValueError: information out of reach, fewer than 1 bit, images that don't fit each other.
    """

    name = "binary-channel"

    def __init__(self, zeros: Tensor, ones: Tensor, *, information: float, bits: int = 10):
        self.flip_probability = flip_probability(information, bits)
        zeros, ones = torch.as_tensor(zeros), torch.as_tensor(ones)
        if zeros.shape[1:] != ones.shape[1:] or zeros.dtype != ones.dtype or 0 in zeros.shape[:1]:
            raise ValueError(
                f"zeros are {zeros.dtype} {list(zeros.shape)} and ones {ones.dtype} "
                f"{list(ones.shape)}, expected images of one shape and dtype, and some of each"
            )
        labels = torch.arange(2).repeat_interleave(torch.tensor([len(zeros), len(ones)]))
        self._classes = ByClass(torch.cat([zeros, ones]), labels)
        self.bits, self.information = bits, float(information)
        self.title = f"Binary channel, {bits} bits, {information:.3g} nats"

    def sample(self, n: int, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        device = checked_device(n, generator)
        sent = torch.randint(2, (n, self.bits), generator=generator, device=device)
        flips = torch.rand(n, self.bits, generator=generator, device=device) < self.flip_probability
        return self._show(sent, generator), self._show(sent ^ flips.long(), generator)

    def _show(self, bits: Tensor, generator: Generator | None) -> Tensor:
        images = self._classes.take(self._classes.pick(bits, generator))  # [n, bits, …, W]
        return images.movedim(1, -2).flatten(1)  # from [n, …, bits, W]: a row runs through all bits


def flip_probability(information: float, bits: int) -> float:
    """The p in [0, ½] with bits·(log 2 − h(p)) = information in nats, by bisection.

    Raises ValueError if bits < 1 or information isn't in [0, bits·log 2].
    """
    check_whole(1, bits=bits)
    if not 0 <= information <= bits * LOG_2 * (1 + 1e-12):
        raise ValueError(
            f"information is {information} nats, expected 0 to {bits * LOG_2:.4f}, that is "
            f"{bits} bits (1 bit = 0.6931 nats): use more bits for more"
        )
    low, high = 0.0, 0.5
    for _ in range(100):
        p = (low + high) / 2
        entropy = -p * math.log(p) - (1 - p) * math.log1p(-p)
        low, high = (p, high) if bits * (LOG_2 - entropy) > information else (low, p)
    return (low + high) / 2


class CdpMini(Task):
    """Coloured, placed digits that share chosen factors; I is the sum of the factors' entropies.

    *CDP-mini* is our own small stand-in for the CDP data of Lee et al. 2023, whose construction we
    could not read; results on it are not results on CDP. A picture [3, 12, 12] shows an 8×8 digit
    times a colour (each channel 0.25 or 1) at one of four places (rows and columns shifted by 0 or
    4) on black. The factors are independent and uniform: log 10 + log 8 + log 4 nats in all. y
    keeps x's `shared` factors; the others, and which picture of the digit, are drawn anew.

    Args:
        images: [N, 1, 8, 8] float in [0, 1], or uint8: `load("digits", size=8).images`.
        labels: the digits, integers [N]; any number of classes goes.
        shared: any of "digit", "colour", "position"; none makes x and y independent.
    Raises:
        ValueError: an unknown or repeated factor, shapes that don't fit.
    """

    name = "cdp-mini"
    FACTORS = ("digit", "colour", "position")

    def __init__(self, images: Tensor, labels: Tensor, shared: Iterable[str]):
        shared = tuple(shared)
        for factor in shared:
            check_known("factor", factor, self.FACTORS)
        if len(set(shared)) < len(shared):
            raise ValueError(f"shared factors {shared} repeat one, expected each at most once")
        if images.shape[1:] != (1, 8, 8):
            raise ValueError(f"images have shape {list(images.shape)}, expected [N, 1, 8, 8]")
        self._classes = ByClass(images, labels)
        self.shared = tuple(factor for factor in self.FACTORS if factor in shared)
        self.sizes = (len(self._classes.counts), 8, 4)  # values of each factor
        entropies = dict(zip(self.FACTORS, map(math.log, self.sizes), strict=True))
        self.information = sum((entropies[factor] for factor in self.shared), 0.0)
        self.title = f"CDP-mini, shared: {', '.join(self.shared) or 'nothing'}"

    def sample(self, n: int, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        of_x, of_y = self._factors(n, generator), self._factors(n, generator)
        for factor in self.shared:
            column = self.FACTORS.index(factor)
            of_y[:, column] = of_x[:, column]
        return self.draw(of_x, generator), self.draw(of_y, generator)

    def labelled(self, n: int, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """n single pictures, [n, 432], with their factors, int64 [n, 3]: what probes want."""
        factors = self._factors(n, generator)
        return self.draw(factors, generator), factors

    def draw(self, factors: Tensor, generator: Generator | None = None) -> Tensor:
        """Pictures of these factors, int64 [n, 3] in the order of FACTORS; float32 [n, 3·12·12].

        Bit 2 of a colour (worth 4) is red, bit 1 green, bit 0 blue; bit 1 of a position moves the
        digit down, bit 0 to the right. ValueError for values out of range.
        """
        sizes = torch.tensor(self.sizes, device=factors.device)
        if factors.ndim != 2 or factors.shape[1] != 3 or not (factors >= 0).all():
            raise ValueError(f"factors have shape {list(factors.shape)}, expected [n, 3], all ≥ 0")
        if not (factors < sizes).all():
            raise ValueError(
                f"factors go up to {factors.amax(0).tolist()}, expected below {self.sizes}"
            )
        digit, colour, position = factors.T
        images = self._classes.take(self._classes.pick(digit, generator))  # [n, 1, 8, 8]
        channels = colour[:, None] >> torch.arange(2, -1, -1, device=colour.device) & 1
        steps = torch.arange(8, device=factors.device)
        row = (4 * (position >> 1))[:, None, None] + steps[:, None]  # [n, 8, 1]
        column = (4 * (position & 1))[:, None, None] + steps  # [n, 1, 8]
        canvas = torch.zeros(len(factors), 12, 12, 3, device=factors.device)
        sample = torch.arange(len(factors), device=factors.device)[:, None, None]
        canvas[sample, row, column] = (
            images.movedim(1, -1) * (0.25 + 0.75 * channels)[:, None, None]
        )
        return canvas.movedim(-1, 1).flatten(1)

    def _factors(self, n: int, generator: Generator | None) -> Tensor:
        device = checked_device(n, generator)
        drawn = [torch.randint(k, (n,), generator=generator, device=device) for k in self.sizes]
        return torch.stack(drawn, 1)
