"""The Fréchet distance against closed forms, scipy's matrix root, and torchmetrics."""

import numpy as np
import pytest
import torch
from scipy import linalg
from torch import nn

from mdlib import data
from mdlib.evaluation.views_classifier import ViewsClassifier
from mdlib.methods import create
from mdlib.metrics.generation import (
    fitted_samples,
    frechet_distance,
    generated,
    seen,
    swap_material,
    swapped,
)
from mdlib.views import Views, style


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


def test_features_whose_squares_are_no_numbers_have_a_distance_or_are_refused():
    real, fake = correlated(50, 3, 0), correlated(60, 3, 1, shift=0.5)
    for scale in (1e-120, 1e120):
        found = frechet_distance(real * scale, fake * scale)
        assert found / scale**2 == pytest.approx(frechet_distance(real, fake))
    with pytest.raises(ValueError, match=r"features reach .*e\+200, .* divide both"):
        frechet_distance(real * 1e200, fake * 1e200)


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


# --- what a decoder makes of codes

LAW = Views(rotation=30, brightness=0.4)
BLACK = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", "test")


@pytest.fixture(scope="module")
def classifier(digits):
    means, spread = torch.zeros(2), torch.ones(2)
    return ViewsClassifier(digits.image_shape, 8, 10, means, spread, arch="mlp-small")


def test_fitted_samples_have_the_mean_and_covariance_of_codes():
    codes = torch.tensor(correlated(5000, 3, 0, shift=2.0)).float()
    method = type("Identity", (), {"decode": staticmethod(lambda z: z[:, :, None, None])})
    drawn = fitted_samples(method, codes, 200_000, torch.Generator().manual_seed(0))[..., 0, 0]
    torch.testing.assert_close(drawn.mean(0), codes.mean(0), atol=0.03, rtol=0)
    torch.testing.assert_close(torch.cov(drawn.T), torch.cov(codes.T), atol=0.1, rtol=0.03)


@pytest.mark.parametrize(
    ("name", "options"), [("vae", {}), ("simve", {"centres": "flat"}), ("gvae", {})]
)
def test_generated_says_what_the_methods_own_functions_say(digits, classifier, name, options):
    shape = {"image_shape": digits.image_shape, "latent_dim": 4, "arch": "mlp-small"}
    method = create(name, **shape, **options)
    x = LAW(digits.images[:60], 1, torch.Generator().manual_seed(0))[0][:, 0]
    codes = method.encode(digits.images[100:200])
    row = generated(method, classifier, codes, x, seed=3)
    real = classifier.encode(x)
    rebuilt = frechet_distance(real, classifier.encode(method.reconstruct(x)))
    assert row["FID, reconstructions"] == pytest.approx(rebuilt)
    draw = torch.Generator().manual_seed(3)
    if name == "simve":
        assert row["ELBO, nats"] is None
        samples = method.sample(60, draw, centres=codes)
    else:
        assert row["ELBO, nats"] == pytest.approx(method.elbo(x, 1, draw).mean().item())
        assert row["ELBO, nats"] < -row["reconstruction, nats"] + 5  # less the KL
        samples = method.sample(60, draw)
    expected = frechet_distance(real, classifier.encode(samples))
    assert row["FID, samples"] == pytest.approx(expected)
    fitted = classifier.encode(fitted_samples(method, codes, 60, draw))
    assert row["FID, fitted Gaussian"] == pytest.approx(frechet_distance(real, fitted))


def test_swaps_have_the_class_of_one_image_and_the_style_of_another(digits, classifier):
    n = len(digits) + 3  # past the end: from the first image again
    material = swap_material(digits, LAW, 5, n=n, members=2)
    rows = torch.arange(n) % len(digits)
    x, parameters = LAW(digits.images[rows], 2, torch.Generator().manual_seed(5))
    assert torch.equal(material.views, x) and torch.equal(material.labels, digits.labels[rows])
    first = torch.stack([*style(parameters).values()], -1)[:, 0]
    assert torch.equal(material.style, first)

    class Pixels:
        """Codes are pixels: a swap is an image's mean view, moved as a view of another one is."""

        encode = staticmethod(lambda images: images.flatten(1))
        decode = staticmethod(lambda z: z.view(-1, *digits.image_shape))

    row = swapped(Pixels(), classifier, material)
    rebuilt = seen(classifier, x[:, 0], material.labels, first, "rebuilt")
    assert {k: row[k] for k in rebuilt} == pytest.approx(rebuilt, abs=1e-5)
    mean = x.mean(1)
    swap = seen(
        classifier, mean.roll(-1, 0) + x[:, 0] - mean, material.labels.roll(-1), first, "swap"
    )
    assert {k: row[k] for k in swap} == pytest.approx(swap, abs=1e-3)


def test_swaps_are_of_two_classes_where_rows_stand_class_by_class():
    labels = torch.arange(3).repeat_interleave(1000)
    split = data.Dataset("mine", "mine", "test", BLACK.expand(3000, -1, -1, -1), labels, ("a",) * 3)
    material = swap_material(split, LAW, 5, members=1)
    alike = (material.labels == material.labels.roll(-1)).float().mean()
    assert alike == pytest.approx(1 / 3, abs=0.05)
    assert (material.labels.bincount() / 1000 - 1 / 3).abs().max() < 0.05
