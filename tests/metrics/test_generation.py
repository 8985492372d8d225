"""The Fréchet distance against closed forms, scipy's matrix root, and torchmetrics."""

import numpy as np
import pytest
import torch
from scipy import linalg
from torch import nn

from mdlib.metrics.generation import frechet_distance


def correlated(n, dim, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, dim)) @ rng.standard_normal((dim, dim)) + shift


def by_scipy(real, fake):
    (m, s), (n, t) = ((x.mean(0), np.cov(x, rowvar=False)) for x in (real, fake))
    return ((m - n) ** 2).sum() + np.trace(s + t - 2 * linalg.sqrtm(s @ t).real)


@pytest.mark.parametrize(("n", "m", "dim"), [(50, 50, 3), (400, 300, 20)])
def test_it_is_the_formula_with_scipys_root(n, m, dim):
    real, fake = correlated(n, dim, 0), correlated(m, dim, 1, shift=0.5)
    assert frechet_distance(real, fake) == pytest.approx(by_scipy(real, fake), rel=1e-9)
    assert frechet_distance(fake, real) == pytest.approx(by_scipy(real, fake), rel=1e-9)


def test_one_dimension_has_the_distance_of_means_and_of_standard_deviations():
    real, fake = correlated(30, 1, 0), correlated(40, 1, 1, shift=3.0)
    expected = (real.mean() - fake.mean()) ** 2 + (real.std(ddof=1) - fake.std(ddof=1)) ** 2
    assert frechet_distance(real, fake) == pytest.approx(expected)


def test_a_shift_costs_its_square_and_a_rotation_nothing():
    real = correlated(100, 5, 0)
    assert frechet_distance(real, real) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(real, real[::-1] + 2) == pytest.approx(5 * 4)
    fake, rotation = correlated(100, 5, 1), np.linalg.qr(correlated(5, 5, 2))[0]
    turned = frechet_distance(real @ rotation, fake @ rotation)
    assert turned == pytest.approx(frechet_distance(real, fake))


def test_dead_dimensions_and_single_precision_do_no_harm():
    real, fake = correlated(200, 6, 0), correlated(200, 6, 1)
    expected = frechet_distance(real, fake)
    dead = [np.concatenate([x, np.zeros((200, 3))], 1) for x in (real, fake)]
    assert frechet_distance(*dead) == pytest.approx(expected, rel=1e-9)
    # Far from 0, where uncentred second moments would lose all digits.
    far = [torch.tensor(x).float() + 1000 for x in (real, fake)]
    assert frechet_distance(*far) == pytest.approx(expected, rel=1e-3)


def test_it_is_that_of_torchmetrics():
    fid = pytest.importorskip("torchmetrics.image.fid")
    features = nn.Identity()
    features.num_features = 8
    metric = fid.FrechetInceptionDistance(features)
    real, fake = (torch.tensor(correlated(200, 8, seed)) for seed in (0, 1))
    metric.update(real, real=True)
    metric.update(fake, real=False)
    assert frechet_distance(real, fake) == pytest.approx(metric.compute().item(), rel=1e-9)


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (np.ones((9, 3)), np.ones((9, 2)), "real features have 3 dimensions and fake ones 2"),
        (np.ones((3, 3)), np.ones((9, 3)), "3 real samples of 3 dimensions, expected more than 3"),
        (np.ones((9, 3)), np.ones((2, 3)), "2 fake samples of 3 dimensions, expected more than 3"),
        (np.ones((9, 3)), np.full((9, 3), np.nan), "fake features .*nan"),
        (np.ones(9), np.ones((9, 3)), r"real features have shape \[9\]"),
    ],
)
def test_input_without_sense_is_refused(real, fake, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance(real, fake)
