"""Each loss against an independent density, a library or a slow re-derivation."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from mdlib import losses

DOUBLE = torch.float64


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def normal(*shape, generator):
    return torch.randn(*shape, generator=generator, dtype=DOUBLE)


def test_bernoulli_nll_is_the_density_of_torch_distributions(generator):
    logits = normal(5, 3, 4, 4, generator=generator)
    images = (normal(5, 3, 4, 4, generator=generator) > 0).to(DOUBLE)
    expected = -Independent(Bernoulli(logits=logits), 3).log_prob(images)
    torch.testing.assert_close(losses.bernoulli_nll(logits, images), expected)


def test_gaussian_nll_is_the_density_of_torch_distributions(generator):
    mean, images = normal(5, 3, 4, 4, generator=generator), normal(5, 3, 4, 4, generator=generator)
    expected = -Independent(Normal(mean, math.sqrt(0.3)), 3).log_prob(images)
    torch.testing.assert_close(losses.gaussian_nll(mean, images, 0.3), expected)


def test_gaussian_kl_and_entropy_are_those_of_torch_distributions(generator):
    mean, log_variance = normal(6, 4, generator=generator), normal(6, 4, generator=generator)
    q = Normal(mean, (0.5 * log_variance).exp())
    torch.testing.assert_close(
        losses.gaussian_kl(mean, log_variance),
        kl_divergence(q, Normal(torch.zeros_like(mean), 1)).sum(-1),
    )
    torch.testing.assert_close(losses.gaussian_entropy(log_variance), q.entropy().sum(-1))


# --- the group prior: the unit tests of the fact sheet `simve` --------------------------------


@pytest.mark.parametrize("members", [1, 2, 5])
def test_gaussian_group_prior_is_the_joint_normal_density(members, generator):
    variance, centre_variance = 0.15, 0.6
    z = normal(4, members, 3, generator=generator)
    covariance = variance * np.eye(members) + centre_variance * np.ones((members, members))
    joint = stats.multivariate_normal(np.zeros(members), covariance)
    expected = [sum(joint.logpdf(group[:, d]) for d in range(3)) for group in z.numpy()]
    actual = losses.group_prior(z, variance, centre_variance)
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=DOUBLE))


def test_flat_group_prior_is_the_numerical_integral_over_the_centre(generator):
    variance = 0.3
    z = normal(3, 4, 1, generator=generator)
    for group, value in zip(z.squeeze(-1).numpy(), losses.group_prior(z, variance), strict=True):
        integral, _ = integrate.quad(
            lambda y, g=group: np.prod(stats.norm.pdf(g, y, math.sqrt(variance))), -10, 10
        )
        assert value.item() == pytest.approx(math.log(integral), abs=1e-8)


def test_two_views_are_pinched_by_their_squared_distance(generator):
    z = normal(7, 2, 5, generator=generator)
    nearer = z.clone()
    nearer[:, 1] = nearer[:, 0]
    drop = losses.group_prior(nearer, 0.2) - losses.group_prior(z, 0.2)
    torch.testing.assert_close(drop, (z[:, 0] - z[:, 1]).square().sum(-1) / (4 * 0.2))


def test_one_view_with_matching_centre_variance_is_the_standard_normal(generator):
    z = normal(6, 1, 4, generator=generator)
    expected = Normal(0.0, 1.0).log_prob(z).sum((1, 2))
    torch.testing.assert_close(losses.group_prior(z, 0.15, 1 - 0.15), expected)


def test_order_of_views_does_not_matter_and_a_shift_only_to_the_gaussian_centre(generator):
    z = normal(4, 6, 3, generator=generator)
    shuffled, moved = z[:, [3, 0, 5, 1, 4, 2]], z + 2.0
    for centre_variance in (None, 0.85):
        torch.testing.assert_close(
            losses.group_prior(z, 0.15, centre_variance),
            losses.group_prior(shuffled, 0.15, centre_variance),
        )
    torch.testing.assert_close(losses.group_prior(z, 0.15), losses.group_prior(moved, 0.15))
    assert (losses.group_prior(moved, 0.15, 0.85) != losses.group_prior(z, 0.15, 0.85)).all()


@pytest.mark.parametrize("centre_variance", [None, 0.7])
def test_expected_group_prior_is_the_monte_carlo_mean(centre_variance, generator):
    mean = 0.5 * normal(2, 3, 4, generator=generator)
    log_variance = normal(2, 3, 4, generator=generator) - 1
    draws = 40_000
    noise = normal(draws, *mean.shape, generator=generator)
    z = mean + (0.5 * log_variance).exp() * noise
    values = losses.group_prior(z.flatten(0, 1), 0.4, centre_variance).unflatten(0, (draws, 2))
    exact = losses.expected_group_prior(mean, log_variance, 0.4, centre_variance)
    error = values.std(0) / math.sqrt(draws)
    assert ((values.mean(0) - exact).abs() < 4 * error).all()


# --- discriminative losses --------------------------------------------------------------------


def slow_nt_xent(z, temperature):
    """One anchor at a time, in plain Python."""
    batch, members, _ = z.shape
    flat = [(b, z[b, j] / z[b, j].norm()) for b in range(batch) for j in range(members)]
    values = []
    for a, (image, u) in enumerate(flat):
        others = [(i, (u @ v).item() / temperature) for n, (i, v) in enumerate(flat) if n != a]
        normaliser = math.log(sum(math.exp(s) for _, s in others))
        values += [normaliser - s for i, s in others if i == image]
    return sum(values) / len(values)


@pytest.mark.parametrize("members", [2, 3])
def test_info_nce_is_the_slow_rendering(members, generator):
    z = torch.randn(5, members, 4, generator=generator)
    assert losses.info_nce(z, 0.3).item() == pytest.approx(slow_nt_xent(z, 0.3), abs=1e-5)


def test_info_nce_of_equal_codes_is_log_of_the_number_of_candidates():
    assert losses.info_nce(torch.ones(8, 2, 3)).item() == pytest.approx(math.log(15), abs=1e-6)


def test_cosine_regression_is_the_distance_of_normalised_vectors(generator):
    p, t = normal(6, 5, generator=generator), normal(6, 5, generator=generator)
    distance = (p / p.norm(dim=1, keepdim=True) - t / t.norm(dim=1, keepdim=True)).square().sum(1)
    torch.testing.assert_close(losses.cosine_regression(p, t), distance)
    torch.testing.assert_close(losses.cosine_regression(p, -p), torch.full((6,), 4.0, dtype=DOUBLE))
