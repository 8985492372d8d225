"""Pairs of exact information: enumerated joint tables, slow renderings, simulated batches."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from mdlib.data import load
from mdlib.losses import info_nce
from mdlib.mi.pairs import (
    BinaryChannel,
    CdpMini,
    SameClass,
    flip_probability,
    of_split,
    optimal_infonce,
    optimal_nt_xent,
    score_matrix_from_posteriors,
)

LABELS = [7, -2, 7, 3, 3, 7, 7, -2, 3]  # classes −2, 3, 7 of 2, 3 and 4 rows
BIT = math.log(2)


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(n: int, *shape: int, seed: int = 0) -> torch.Tensor:
    """Random uint8 rows, all different."""
    return torch.randint(256, (n, *shape), generator=draw(seed)).to(torch.uint8)


def information(joint) -> float:
    """Σ p log(p/(p p)) of a joint table [X, Y], from the definition."""
    joint = np.asarray(joint, dtype=float)
    assert joint.sum() == pytest.approx(1)
    product = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    some = joint > 0
    return float((joint[some] * np.log(joint[some] / product[some])).sum())


def same_class_table(labels, balanced, distinct):
    """p(i, j) over all pairs of rows, from the construction's words."""
    labels = np.asarray(labels)
    joint = np.zeros((len(labels),) * 2)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        share = 1 / len(np.unique(labels)) if balanced else len(members) / len(labels)
        options = [(i, j) for i in members for j in members if i != j or not distinct]
        for i, j in options:
            joint[i, j] = share / len(options)
    return joint


# ---------------------------------------------------------------------------- same-class pairs

BOTH = [(b, d) for b in (True, False) for d in (True, False)]


@pytest.mark.parametrize(("balanced", "distinct"), BOTH)
def test_same_class_information_is_that_of_the_enumerated_table(balanced, distinct):
    task = SameClass(rows(9, 4), torch.tensor(LABELS), balanced, distinct)
    table = same_class_table(LABELS, balanced, distinct)
    assert task.information == pytest.approx(information(table), abs=1e-12)
    expected = [1 / 3] * 3 if balanced else [2 / 9, 3 / 9, 4 / 9]
    assert task.class_probabilities.tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("balanced", "distinct"), BOTH)
def test_same_class_samples_follow_the_table(balanced, distinct):
    task = SameClass(rows(9, 4), torch.tensor(LABELS), balanced, distinct)
    table = same_class_table(LABELS, balanced, distinct)
    i, j = task.sample_rows(100_000, draw())
    counts = np.bincount((9 * i + j).numpy(), minlength=81).reshape(9, 9)
    assert (counts[table == 0] == 0).all()  # the classes always agree; distinct rows do differ
    some = table > 0
    assert stats.chisquare(counts[some], 100_000 * table[some]).pvalue > 1e-3


def test_same_class_of_equal_classes_is_log_m():
    task = SameClass(rows(40, 4), torch.arange(40) % 10)
    assert task.information == pytest.approx(2.302585, abs=1e-6)
    excluded = SameClass(rows(1200, 4), torch.arange(1200) % 10, distinct=True)
    assert excluded.information - math.log(10) == pytest.approx(0.0084, abs=5e-5)


def test_same_class_samples_are_the_rows():
    images, labels = rows(9, 1, 3, 2), torch.tensor(LABELS)
    task = SameClass(images, labels)
    i, j = task.sample_rows(50, draw(1))
    x, y = task.sample(50, draw(1))
    assert x.dtype == torch.float32
    assert torch.equal(x, images[i].flatten(1) / 255) and torch.equal(y, images[j].flatten(1) / 255)
    assert torch.equal(labels[i], labels[j])
    assert not torch.equal(x, task.sample(50, draw(2))[0])
    floats = SameClass(images.double() - 100, labels).sample(50, draw(1))[0]
    assert torch.equal(floats, images[i].flatten(1).float() - 100)  # floats keep their scale
    with pytest.raises(NotImplementedError, match="no density is known"):
        task.log_ratio(x, y)
    with pytest.raises(NotImplementedError):
        task.scores(x, y)


def test_same_class_errors():
    good, labels = rows(4, 2), torch.tensor([0, 0, 1, 1])
    with pytest.raises(ValueError, match=r"rows have shape \[4, 2\] and labels \[3\]"):
        SameClass(good, labels[:3])
    with pytest.raises(ValueError, match="not empty"):
        SameClass(good[:0], labels[:0])
    with pytest.raises(ValueError, match=r"rows are torch\.int64"):
        SameClass(good.long(), labels)
    with pytest.raises(ValueError, match=r"labels are torch\.float32"):
        SameClass(good, labels.float())
    with pytest.raises(ValueError, match="NaN"):
        SameClass(good * math.nan, labels)
    with pytest.raises(ValueError, match="class 5 has 1 row"):
        SameClass(good, torch.tensor([0, 0, 0, 5]), distinct=True)
    with pytest.raises(ValueError, match="n=-1"):
        SameClass(good, labels).sample(-1)


# ---------------------------------------------------------------------------- closed forms

K = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096]
INFONCE = {
    2: [0.3466, 0.5411, 0.6255, 0.6608, 0.6773, 0.6853, 0.6892, 0.6912, 0.6922, 0.6927, 0.6930],
    10: [0.6238, 1.1868, 1.6491, 1.9712, 2.1488, 2.2298, 2.2669, 2.2849, 2.2938, 2.2982, 2.3015],
    100: [0.6862, 1.3656, 2.0315, 2.6716, 3.2635, 3.7723, 4.1554, 4.3898, 4.5041, 4.5559, 4.5930],
}
NT_XENT = {
    2: 0.9888, 4: 1.6335, 8: 2.0491, 16: 2.2523, 32: 2.3033, 64: 2.3040, 256: 2.3027
}  # fmt: skip


@pytest.mark.parametrize("classes", INFONCE)
def test_optimal_infonce_table(classes):
    values = [optimal_infonce(classes, pairs) for pairs in K]
    assert values == pytest.approx(INFONCE[classes], abs=6e-5)
    assert values == sorted(values)
    assert all(v < math.log(k) and v < math.log(classes) for v, k in zip(values, K, strict=True))


def test_optimal_values_by_hand():
    # One other pair, which shares the class with probability 1/M.
    assert optimal_infonce(5, 2) == pytest.approx(math.log(2) - math.log(2) / 5)
    assert optimal_nt_xent(5, 2) == pytest.approx(math.log(3) - math.log(3) / 5)
    by_hand = math.log(3) - (2 * 3 / 16 * math.log(2) + 1 / 16 * math.log(3))
    assert optimal_infonce(4, 3) == pytest.approx(by_hand)
    assert optimal_infonce(1, 50) == pytest.approx(0)  # one class: nothing to know
    assert optimal_infonce(7, 1) == optimal_nt_xent(7, 1) == 0


def test_optimal_nt_xent_table():
    values = {pairs: optimal_nt_xent(10, pairs) for pairs in NT_XENT}
    assert values == pytest.approx(NT_XENT, abs=6e-5)
    assert values[32] > math.log(10)  # no lower bound


@pytest.mark.slow
@pytest.mark.parametrize("pairs", [4, 32])
def test_optimal_values_against_simulated_batches(pairs):
    labels = torch.arange(30) % 10
    task = SameClass(rows(30, 4), labels)
    i, _ = task.sample_rows(2000 * pairs, draw())
    posteriors = torch.eye(10)[labels[i]].view(2000, pairs, 10)
    scores = torch.stack(
        [score_matrix_from_posteriors(p, p, task.class_probabilities) for p in posteriors]
    )
    assert scores.unique().tolist() == [-math.inf, pytest.approx(math.log(10))]
    ours = scores.log_softmax(-1).diagonal(dim1=1, dim2=2).mean(1) + math.log(pairs)
    error = ours.std().item() / 2000**0.5
    assert ours.mean().item() == pytest.approx(optimal_infonce(10, pairs), abs=4 * error)
    views = posteriors[:, :, None].expand(-1, -1, 2, -1)  # at a low temperature: 0 or −∞
    loss = torch.stack([info_nce(z, temperature=0.005) for z in views])
    error = loss.std().item() / 2000**0.5
    ours = math.log(2 * pairs - 1) - loss.mean().item()
    assert ours == pytest.approx(optimal_nt_xent(10, pairs), abs=4 * error)


def test_score_matrix_is_the_log_ratio():
    # Three Gaussian classes on a line: posteriors and the ratio both follow from densities.
    prior = np.array([0.2, 0.5, 0.3])
    x, y = np.linspace(-3, 5, 6), np.linspace(-2, 4, 4)
    of_x, of_y = (stats.norm([-1, 0, 2], [1, 0.5, 1]).pdf(t[:, None]) for t in (x, y))
    joint = np.einsum("ic,jc,c->ij", of_x, of_y, prior)
    expected = np.log(joint / np.outer(of_x @ prior, of_y @ prior))
    posteriors = [torch.tensor(p * prior / (p @ prior)[:, None]) for p in (of_x, of_y)]
    scores = score_matrix_from_posteriors(*posteriors, torch.tensor(prior))
    np.testing.assert_allclose(scores, expected, atol=1e-12)
    floats = score_matrix_from_posteriors(*(p.float() for p in posteriors), torch.tensor(prior))
    assert floats.dtype == torch.float32


def test_score_matrix_of_tiny_posteriors_stays_finite():
    sure = torch.tensor([[1.0, 1e-40], [1e-40, 1.0]])
    scores = score_matrix_from_posteriors(sure, sure**1.0, torch.tensor([0.5, 0.5]))
    assert scores.isfinite().all()


def test_closed_form_errors():
    for function in (optimal_infonce, optimal_nt_xent):
        with pytest.raises(ValueError, match="classes=0"):
            function(0, 4)
        with pytest.raises(ValueError, match="pairs=0: expected a whole number of at least 1"):
            function(10, 0)
    p, prior = torch.full((3, 2), 0.5), torch.tensor([0.5, 0.5])
    with pytest.raises(ValueError, match=r"p_y has shape \[3, 3\]"):
        score_matrix_from_posteriors(p, torch.full((3, 3), 1 / 3), prior)
    with pytest.raises(ValueError, match="p_x isn't a distribution"):
        score_matrix_from_posteriors(p.log(), p, prior)
    with pytest.raises(ValueError, match="p_y isn't a distribution"):
        score_matrix_from_posteriors(p, p * math.nan, prior)
    with pytest.raises(ValueError, match="prior isn't a distribution"):
        score_matrix_from_posteriors(p, p, 2 * prior)
    with pytest.raises(ValueError, match="prior 0"):
        score_matrix_from_posteriors(p, p, torch.tensor([1.0, 0.0]))


# ---------------------------------------------------------------------------- the binary channel


@pytest.mark.parametrize(
    ("bits", "p"), [(2, 0.24300), (4, 0.14610), (6, 0.07938), (8, 0.03112), (10, 0), (0, 0.5)]
)
def test_flip_probability(bits, p):
    solved = flip_probability(bits * BIT, 10)
    assert solved == pytest.approx(p, abs=6e-6)
    assert 10 * (1 - stats.entropy([solved, 1 - solved], base=2)) == pytest.approx(bits, abs=1e-9)


def channel_table(p):
    """p(image of x, image of y) of one bit, shown by images 0 and 1 or by images 2, 3 and 4."""
    share = np.array([1 / 2, 1 / 2, 1 / 3, 1 / 3, 1 / 3])
    bit = np.array([0, 0, 1, 1, 1])
    return 0.5 * np.where(bit[:, None] == bit, 1 - p, p) * share[:, None] * share


def test_binary_channel_information_is_that_of_the_enumerated_table():
    task = BinaryChannel(rows(2, 3), rows(3, 3, seed=1), information=0.3, bits=2)
    one = channel_table(task.flip_probability)
    assert information(np.kron(one, one)) == pytest.approx(0.3, abs=1e-9)
    assert task.information == 0.3


def test_binary_channel_samples():
    zeros, ones = rows(2, 1, 4, 3), rows(3, 1, 4, 3, seed=1)
    task = BinaryChannel(zeros, ones, information=2 * BIT, bits=4)
    x, y = task.sample(20_000, draw())
    assert x.shape == (20_000, 4 * 12) and x.dtype == torch.float32
    known = torch.cat([zeros, ones]).view(5, 12) / 255

    def shown(samples):  # which of the five images stands at each place
        places = samples.view(-1, 4, 4, 3).transpose(1, 2)  # [n, H, bits, W] → [n, bits, H, W]
        found = (places.reshape(-1, 4, 1, 12) == known).all(-1)
        assert (found.sum(-1) == 1).all()
        return found.int().argmax(-1)

    i, j = shown(x), shown(y)
    sent, received = i >= 2, j >= 2
    assert (sent.float().mean(0) - 0.5).abs().max() < 0.02
    flips = (sent ^ received).float()
    p = task.flip_probability
    assert p == pytest.approx(0.1100, abs=1e-4)  # h₂(.11) = ½
    assert (flips.mean(0) - p).abs().max() < 4 * math.sqrt(p / 20_000)
    assert (flips.T.corrcoef() - torch.eye(4)).abs().max() < 0.03
    counts = np.histogram2d(i.flatten(), j.flatten(), bins=5)[0]
    assert stats.chisquare(counts.ravel(), 80_000 * channel_table(p).ravel()).pvalue > 1e-3
    again = task.sample(20_000, draw())
    assert torch.equal(again[0], x) and torch.equal(again[1], y)


def test_binary_channel_without_noise_and_of_flat_rows():
    task = BinaryChannel(rows(1, 5), rows(1, 5, seed=1), information=10 * BIT)
    x, y = task.sample(100, draw())
    assert x.shape == (100, 50) and torch.equal(x, y)


def test_binary_channel_errors():
    zeros, ones = rows(2, 3), rows(3, 3)
    for information in (-0.1, 10.01 * BIT, math.nan):
        with pytest.raises(ValueError, match=r"expected 0 to 6.9315, that is 10 bits"):
            BinaryChannel(zeros, ones, information=information)
    with pytest.raises(ValueError, match="bits=0"):
        BinaryChannel(zeros, ones, information=0, bits=0)
    with pytest.raises(ValueError, match=r"ones torch.uint8 \[3, 2\]"):
        BinaryChannel(zeros, ones[:, :2], information=1)
    with pytest.raises(ValueError, match="images of one shape and dtype"):
        BinaryChannel(zeros, ones.float(), information=1)
    with pytest.raises(ValueError, match="some of each"):
        BinaryChannel(zeros[:0], ones, information=1)


# ---------------------------------------------------------------------------- CDP-mini

FACTORS = torch.cartesian_prod(torch.arange(10), torch.arange(8), torch.arange(4))
SUBSETS = [s for k in range(4) for s in itertools.combinations(CdpMini.FACTORS, k)]


def slow_picture(image, colour, position):
    """One picture, pixel by pixel."""
    canvas = np.zeros((3, 12, 12), dtype=np.float32)
    for channel, bit in enumerate((4, 2, 1)):
        for row in range(8):
            for column in range(8):
                value = image[row, column] / 255 * (1 if colour & bit else 0.25)
                canvas[channel, row + 4 * (position // 2), column + 4 * (position % 2)] = value
    return canvas


@pytest.fixture(scope="module")
def single():
    """One picture a digit, so that the whole picture follows from its factors."""
    return rows(10, 1, 8, 8).clamp(min=1)


def fingerprints(pictures):
    """One float64 a picture: a random projection, different for different pictures."""
    direction = torch.randn(432, generator=draw(), dtype=torch.float64)
    return (pictures.double() * direction).sum(1)


def factors_of(pictures, task):
    """The factors [n, 3] of pictures, by search among all 320."""
    every, order = fingerprints(task.draw(FACTORS)).sort()
    assert every.diff().min() > 1e-9
    prints = fingerprints(pictures)
    place = torch.searchsorted(every, prints - 1e-10)
    assert (every[place] - prints).abs().max() < 1e-10
    return FACTORS[order[place]]


def test_cdp_mini_pictures(single):
    task = CdpMini(single, torch.arange(10), ())
    pictures = task.draw(FACTORS)
    assert pictures.shape == (320, 432) and pictures.dtype == torch.float32
    slow = [slow_picture(single[d, 0].numpy(), c, p) for d, c, p in FACTORS.tolist()]
    np.testing.assert_allclose(pictures.view(-1, 3, 12, 12), np.stack(slow), atol=1e-7)


@pytest.mark.parametrize("shared", SUBSETS)
def test_cdp_mini_pairs(single, shared):
    task = CdpMini(single, torch.arange(10), shared)
    # p(x, y) over all factors: equal where shared, independent elsewhere.
    sizes = dict(zip(CdpMini.FACTORS, (10, 8, 4), strict=True))
    joint = np.ones((1, 1))
    for factor, size in sizes.items():
        joint = np.kron(
            joint, np.eye(size) / size if factor in shared else np.ones((size, size)) / size**2
        )
    assert task.information == pytest.approx(information(joint), abs=1e-9)
    x, y = (factors_of(v, task) for v in task.sample(2000, draw()))
    for column, (factor, size) in enumerate(sizes.items()):
        a, b = x[:, column], y[:, column]
        assert stats.chisquare(np.bincount(a, minlength=size)).pvalue > 1e-3
        assert stats.chisquare(np.bincount(b, minlength=size)).pvalue > 1e-3
        if factor in shared:
            assert torch.equal(a, b)
        else:
            table = np.histogram2d(a, b, bins=size)[0]
            assert stats.chi2_contingency(table).pvalue > 1e-3
    for a, b in itertools.combinations(range(3), 2):  # independent within one picture
        table = np.histogram2d(x[:, a], x[:, b], bins=(task.sizes[a], task.sizes[b]))[0]
        assert stats.chi2_contingency(table).pvalue > 1e-3


def test_cdp_mini_information():
    images, labels = rows(20, 1, 8, 8), torch.arange(20) % 10
    values = {"digit": 2.3026, "colour": 2.0794, "position": 1.3863}
    for shared in SUBSETS:
        total = sum(values[factor] for factor in shared)
        assert CdpMini(images, labels, shared).information == pytest.approx(total, abs=2e-4)
    assert CdpMini(images, labels, CdpMini.FACTORS[::-1]).title.endswith("digit, colour, position")


def test_cdp_mini_draws_the_digits_picture_anew():
    images, labels = rows(40, 1, 8, 8).clamp(min=1), torch.tensor([0] * 3 + [1] * 37)
    task = CdpMini(images, labels, ("digit", "colour", "position"))
    x, y = task.sample(4000, draw())

    def picture(samples):  # colours and places undone: the largest channel, where it is not black
        canvas = samples.view(-1, 3, 12, 12).amax(1)
        canvas = canvas[canvas > 0].view(-1, 64)
        canvas = canvas / canvas.amax(1, keepdim=True)
        known = images.view(40, 64) / images.view(40, 64).amax(1, keepdim=True)
        distance = torch.cdist(canvas.double(), known.double())
        assert (distance.amin(1) < 1e-5).all()
        return distance.argmin(1)

    i, j = picture(x), picture(y)
    assert torch.equal(labels[i], labels[j])
    of_zero = i < 3  # digits are equally likely, whatever their number of pictures
    assert of_zero.float().mean().item() == pytest.approx(0.5, abs=0.03)
    table = np.histogram2d(i[of_zero], j[of_zero], bins=3)[0]
    assert stats.chisquare(table.ravel()).pvalue > 1e-3


def test_cdp_mini_labelled(single):
    task = CdpMini(single, torch.arange(10), ("digit",))
    pictures, factors = task.labelled(500, draw())
    assert factors.shape == (500, 3) and factors.dtype == torch.int64
    assert torch.equal(factors_of(pictures, task), factors)
    again = task.labelled(500, draw())
    assert torch.equal(again[0], pictures) and torch.equal(again[1], factors)
    x, y = task.sample(50, draw(1))
    u, v = task.sample(50, draw(1))
    assert torch.equal(x, u) and torch.equal(y, v)


def test_cdp_mini_of_real_digits_is_exact():
    # The theorem needs that no picture carries two labels: all 1797 · 32 pictures differ.
    digits = load("digits", split="all", size=8)
    task = CdpMini(digits.images, torch.arange(len(digits.images)), ())  # one class an image
    factors = torch.cartesian_prod(torch.arange(1797), torch.arange(8), torch.arange(4))
    prints = torch.cat([fingerprints(task.draw(part)) for part in factors.split(8192)])
    assert prints.sort().values.diff().min() > 1e-12


def test_cdp_mini_errors(single):
    labels = torch.arange(10)
    with pytest.raises(ValueError, match="unknown factor 'color': did you mean 'colour'"):
        CdpMini(single, labels, ["color"])
    with pytest.raises(ValueError, match="repeat one"):
        CdpMini(single, labels, ["digit", "digit"])
    with pytest.raises(ValueError, match=r"expected \[N, 1, 8, 8\]"):
        CdpMini(single[:, 0], labels, ["digit"])
    task = CdpMini(single, labels, ["digit"])
    for bad in ([[10, 0, 0]], [[0, 8, 0]], [[0, 0, 4]]):
        with pytest.raises(ValueError, match=r"expected below \(10, 8, 4\)"):
            task.draw(torch.tensor(bad))
    for bad in ([[0, 0, -1]], [[0, 0]], [0, 0, 0]):
        with pytest.raises(ValueError, match=r"expected \[n, 3\], all ≥ 0"):
            task.draw(torch.tensor(bad))
    with pytest.raises(NotImplementedError):
        task.log_ratio(*task.sample(2, draw()))
    with pytest.raises(ValueError, match="n=0"):
        task.labelled(0)


# ---------------------------------------------------------------------------- other devices


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("home", ["cpu", "cuda"])
def test_cuda(single, home):
    single, labels = single.to(home), torch.arange(10, device=home)
    sources = (
        SameClass(single, labels),
        SameClass(single, labels % 5, distinct=True),
        BinaryChannel(single[:3], single[3:], information=1),
        CdpMini(single, labels, ("colour",)),
    )
    for source in sources:
        x, y = source.sample(50, torch.Generator("cuda").manual_seed(0))
        assert x.is_cuda and y.is_cuda


def test_a_split_comes_with_its_pixels_and_pairs():
    split, pixels, task = of_split("digits", "test", max_images=100)
    assert split.image_shape == (1, 8, 8) and len(split) == 100
    assert torch.equal(pixels, split.images.flatten(1) / 255)
    assert task.information == pytest.approx(math.log(10))
    x, y = task.sample_rows(50, draw())
    assert torch.equal(split.labels[x], split.labels[y])
    assert of_split("digits", "test", size=5, max_images=9)[1].shape == (9, 25)
