"""What `gallery/total_correlation` defines, against closed forms and the released formulas."""

import math

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from chapter_cells import cells, namespace, run, text

from mdlib import losses

CHAPTER = "gallery/total_correlation"


@pytest.fixture(scope="module")
def chapter():
    return namespace(text(CHAPTER), points=1000)


@pytest.fixture
def posteriors():
    """Draws, means and log-variances of 40 posteriors in three dimensions."""
    draw = torch.Generator().manual_seed(3)
    mean, log_variance, noise = torch.randn(3, 40, 3, generator=draw)
    return mean + (log_variance / 2).exp() * noise, mean, log_variance


def test_as_released_has_the_released_weights(chapter):
    """vae_quant.py of rtqichen/beta-tcvae at 06e763d, with a batch of 4 out of 10."""
    own, next_, rest = 0.1, 7 / 30, 1 / 3
    frozen = [[own, next_, rest, rest]] * 2 + [[next_, next_, rest, rest], [own, next_, rest, rest]]
    torch.testing.assert_close(chapter["as_released"](4, 10), torch.tensor(frozen))


def test_stratified_weights_are_on_the_diagonal(chapter):
    weights = chapter["stratified"](5, 20)
    torch.testing.assert_close(weights.sum(1), torch.ones(5))
    torch.testing.assert_close(weights.diagonal(), torch.full((5,), 1 / 20))
    assert not torch.allclose(weights, chapter["as_released"](5, 20))


def test_slow_estimates_are_the_packages(chapter, posteriors):
    slow, size = chapter["total_correlation"], 1000
    stratified = slow(*posteriors, chapter["stratified"](40, size))
    torch.testing.assert_close(stratified, losses.total_correlation(*posteriors, size))
    weighted = slow(*posteriors, chapter["weighted"](40, size))
    left_out = (3 - 1) * math.log(size)
    torch.testing.assert_close(weighted, losses.total_correlation(*posteriors) + left_out)


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_exact_is_that_of_gaussians(chapter, rho):
    """Means and noise are normal, so z is: TC is −½ log(1 − r²) of the correlation of z."""
    first, second, *noise = torch.randn(4, 4000, generator=torch.Generator().manual_seed(0))
    mean = torch.stack([first, rho * first + (1 - rho**2) ** 0.5 * second], 1)
    z = mean + 0.5 * torch.stack(noise, 1)
    found = chapter["exact_tc"](z, mean, torch.full_like(mean, math.log(0.25)))
    assert found == pytest.approx(-0.5 * math.log(1 - (rho / 1.25) ** 2), abs=0.03)


def test_exact_of_one_posterior_is_nothing(chapter):
    z = torch.randn(300, 4, generator=torch.Generator().manual_seed(1))
    assert abs(chapter["exact_tc"](z, *torch.zeros(2, 7, 4))) < 1e-5


def test_discriminator_loss_is_that_of_two_logits(chapter):
    """vae.py of google-research/disentanglement_lib: two logits, the first for the joint."""
    draw = torch.Generator().manual_seed(2)
    weight = torch.randn(3, 2, generator=draw)
    z, shuffled = torch.randn(2, 50, 3, generator=draw)
    p_joint, p_shuffled = ((codes @ weight).softmax(1) for codes in (z, shuffled))
    released = -(0.5 * p_joint[:, 0].log().mean() + 0.5 * p_shuffled[:, 1].log().mean())
    ell = weight[:, :1] - weight[:, 1:]
    ours = chapter["discriminator_loss"](lambda codes: codes @ ell, z, shuffled)
    torch.testing.assert_close(ours, released)
    labels = torch.zeros(50, dtype=torch.int64)
    halves = F.cross_entropy(z @ weight, labels) + F.cross_entropy(shuffled @ weight, labels + 1)
    torch.testing.assert_close(ours, halves / 2)


def test_sprites_are_a_grid_of_different_images(chapter):
    images, factors = chapter["sprites"]()
    assert images.shape == (384, 1, 16, 16) and factors.amax(0).tolist() == [1, 2, 7, 7]
    assert len(images.flatten(1).unique(dim=0)) == len(factors.unique(dim=0)) == 384


def test_only_one_score_sees_the_missing_factor(chapter):
    known = torch.cartesian_prod(*[torch.arange(8)] * 5)
    scores = chapter["scores"](known[:, :4].float(), known)
    assert scores["BetaVAE"] >= 0.97 and scores["FactorVAE"] <= 0.87  # the sheet's thresholds
    assert chapter["scores"](known.float(), known)["FactorVAE"] >= 0.99


def test_rivals_are_held_against_the_curve_at_their_own_reconstruction(chapter):
    (cell,) = [code for _, code in cells(text(CHAPTER)) if "curve = results" in code]
    _, _, after = cell.partition("results = pd.DataFrame(rows)\n")
    made = [
        ("beta_vae", 30.0, 0.0, 0.2),
        ("beta_vae", 20.0, 2.0, 0.1),
        ("beta_tcvae", 25.0, 0.4, 0.5),
    ]
    made += [("factor_vae", 40.0, 0.1, 0.3)]  # where the curve does not reach
    columns = ["method", "reconstruction", "TC", "MIG"]
    results = pd.DataFrame(made, columns=columns).assign(strength=1.0)
    found = run(after, chapter | {"results": results}, "curve")["results"]
    for score, expected in (("TC", 0.4 - 1.0), ("MIG", 0.5 - 0.15)):
        above = found[f"{score} − β-VAE's"]
        assert above.isna().tolist() == [True, True, False, True]
        assert above[2] == pytest.approx(expected)
