"""What `gallery/reconstruction_loss` defines: exact distances, and pairs that share dimensions."""

import pytest
import torch
from chapter_cells import namespace, text
from scipy.stats import spearmanr

from mdlib import losses

CHAPTER = "gallery/reconstruction_loss"


@pytest.fixture(scope="module")
def chapter():
    return namespace(text(CHAPTER), channels=2, latent_dim=6)


def test_squares_do_not_overlap_at_spacing_8(chapter):
    places = torch.cartesian_prod(torch.arange(8), torch.arange(8))
    images = chapter["xysquares"](places, 8)
    assert images.shape == (64, 1, 64, 64)
    assert torch.equal(images.sum(0), torch.ones(1, 64, 64)), "they tile the image"
    x, y = places[10]
    where = images[10, 0].nonzero()
    assert where.amin(0).tolist() == [8 * y, 8 * x] and len(where) == 64


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spacing", "plain", "with_blur"),  # the sheet's table; None: one constant
    [
        (8, None, 0.99),
        (7, 0.76, 0.99),
        (6, 0.76, 0.99),
        (4, 0.76, 0.98),
        (2, 0.98, 0.98),
        (1, 1.0, 0.99),
    ],
)
def test_order_of_perceived_distances(chapter, spacing, plain, with_blur):
    images = chapter["traversal"](spacing).double()
    a, b = torch.triu_indices(8, 8, 1)
    distance = chapter["perceived"](images[a], images[b])
    if plain is None:
        assert distance.max() - distance.min() < 1e-9
        assert distance[0] == 0.03125
    else:
        assert spearmanr(b - a, distance).statistic == pytest.approx(plain, abs=0.006)
    far = chapter["perceived"](images[a], images[b], r=31)
    assert spearmanr(b - a, far).statistic == pytest.approx(with_blur, abs=0.006)


def test_perceived_distances_of_three_channels(chapter):
    """The paper's averages: .0104 along a factor, .0308 of random pairs."""
    moved = torch.tensor([[0, 0, 3, 3, 5, 5], [4, 0, 3, 3, 5, 5]])
    one, other = chapter["xysquares"](moved, 8)
    assert chapter["perceived"](one[None], other[None]).item() == pytest.approx(0.0104, abs=5e-5)
    assert chapter["perceived"](one[None], one[None]) == 0
    assert chapter["expected_distance"](3) == pytest.approx(0.0308, abs=5e-5)


def test_blur_is_a_mean_with_black_around(chapter):
    image = torch.zeros(1, 1, 5, 5)
    image[..., 2, 2] = 9
    assert torch.equal(chapter["blur"](image, 1)[0, 0, 1:4, 1:4], torch.ones(3, 3))
    assert chapter["blur"](torch.ones(1, 1, 5, 5), 1)[0, 0, 0, 0] == pytest.approx(4 / 9)
    assert chapter["perceived"](image, 0 * image, r=1).item() == pytest.approx(81 / 25 + 9 * 9 / 25)


def test_dimensions_that_agree_are_averaged(chapter):
    mean = torch.tensor([[[0.0, 1.0, 2.0], [3.0, 1.0, 2.2]]])
    log_variance = torch.tensor([[[0.0, 0.0, 0.5], [0.1, 0.0, 0.0]]])
    found, logs = chapter["shared_averaged"](mean, log_variance)
    assert torch.equal(found[..., 0], mean[..., 0]), "the dimension that differs stays"
    torch.testing.assert_close(found[0, :, 2], torch.tensor([2.1, 2.1]))
    torch.testing.assert_close(logs[0, :, 2].exp(), log_variance[0, :, 2].exp().mean().expand(2))


def test_variance_is_that_of_the_pixels(chapter):
    v = torch.cartesian_prod(torch.arange(8), torch.arange(8))
    pixels = chapter["xysquares"](v, 1, side=16, square=2)
    assert pixels.var(correction=0).item() == pytest.approx(chapter["VARIANCE"])


def test_view_pairs_differ_in_one_factor(chapter):
    law, draw = chapter["views"](2), torch.Generator().manual_seed(0)
    v = torch.randint(8, (50, 4), generator=draw)
    pairs, _ = law(v, 2, draw)
    assert pairs.shape == (50, 2, 2, 16, 16)
    assert torch.equal(pairs[:, 0], chapter["xysquares"](v, 2, side=16, square=2))
    changed = (pairs[:, 0] != pairs[:, 1]).flatten(2).any(2)
    assert (changed.sum(1) == 1).all(), "one square has moved"


def test_loss_is_the_means_of_the_paper(chapter):
    """L_rec + β · KL, both means: over pixels and channels, and over dimensions."""
    vae = chapter["SeenVAE"](0.5, 7, False)
    images = torch.rand(6, 1, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    total, _ = vae.loss(images, torch.Generator().manual_seed(1))
    mean, log_variance = vae.posterior(images[:, 0])
    noise = torch.empty(6, 1, 6).normal_(generator=torch.Generator().manual_seed(1))[:, 0]
    decoded = vae.decoder(mean + (log_variance / 2).exp() * noise)
    kl = losses.gaussian_kl(mean, log_variance).mean() / 6
    seen = chapter["perceived"](decoded, images[:, 0], 7).mean() / chapter["VARIANCE"]
    torch.testing.assert_close(total, seen + 0.5 * kl)


def test_pairs_decode_and_pay_for_what_they_share(chapter):
    """Ada-GVAE: both draws and KL are of the posteriors after shared dimensions were averaged."""
    vae = chapter["SeenVAE"](0.5, 7, True)
    images = torch.rand(6, 2, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    total, terms = vae.loss(images, torch.Generator().manual_seed(1))
    own = [x.unflatten(0, (6, 2)) for x in vae.posterior(images.flatten(0, 1))]
    mean, log_variance = chapter["shared_averaged"](*own)
    assert not torch.allclose(mean, own[0])
    noise = torch.empty_like(mean).normal_(generator=torch.Generator().manual_seed(1))
    decoded = vae.decoder((mean + (log_variance / 2).exp() * noise).flatten(0, 1))
    seen = chapter["perceived"](decoded, images.flatten(0, 1), 7).mean() / chapter["VARIANCE"]
    kl = losses.gaussian_kl(mean, log_variance).mean()
    torch.testing.assert_close(total, seen + 0.5 * kl / 6)
    torch.testing.assert_close(terms["kl"], kl)
    assert abs(losses.gaussian_kl(*own).mean() / kl - 1) > 1e-3
