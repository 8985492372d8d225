"""Each loss against an independent density, a library or a slow re-derivation."""

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from loss_cases import HALF_CASES
from scipy import integrate, stats
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from mdlib import losses

DOUBLE = torch.float64
PACKAGE = losses.__name__


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


@pytest.mark.parametrize(
    ("loss", "count", "sides"),
    [
        (losses.bernoulli_nll, 2, (3, 4, 5)),
        (losses.gaussian_nll, 2, (3, 4, 5)),
        (losses.gaussian_kl, 2, (4,)),
        (losses.gaussian_entropy, 1, (4,)),
        (losses.gaussian_kl_between, 4, (4,)),
        (losses.gaussian_log_density, 3, (4,)),
        (losses.cosine_regression, 2, (4,)),
    ],
)
def test_losses_of_a_sample_take_any_leading_sides(generator, loss, count, sides):
    given = [normal(6, 2, *sides, generator=generator).sigmoid() for _ in range(count)]
    flat = loss(*(x.flatten(0, 1) for x in given))
    torch.testing.assert_close(loss(*given), flat.unflatten(0, (6, 2)))


def test_gaussian_kl_between_and_density_are_those_of_torch_distributions(generator):
    mean, log_variance = normal(5, 1, 4, generator=generator), normal(5, 1, 4, generator=generator)
    others = normal(3, 4, generator=generator), normal(3, 4, generator=generator)
    q, p = (Normal(m, (0.5 * v).exp()) for m, v in ((mean, log_variance), others))
    divergence = losses.gaussian_kl_between(mean, log_variance, *others)
    assert divergence.shape == (5, 3)
    torch.testing.assert_close(divergence, kl_divergence(q, p).sum(-1))
    z = normal(5, 1, 4, generator=generator)
    torch.testing.assert_close(losses.gaussian_log_density(z, *others), p.log_prob(z).sum(-1))


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


def test_two_views_are_aligned_by_their_squared_distance(generator):
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


def test_exemplar_softmax_is_the_slow_rendering(generator):
    z, centres = normal(5, 3, generator=generator), normal(7, 3, generator=generator)
    index = torch.tensor([6, 0, 3, 3, 1])
    values = []
    for row, own in zip(z.numpy(), index.tolist(), strict=True):
        cosines = [row @ w / np.linalg.norm(row) / np.linalg.norm(w) for w in centres.numpy()]
        values.append(math.log(sum(math.exp(c / 0.2) for c in cosines)) - cosines[own] / 0.2)
    loss = losses.exemplar_softmax(z, centres, index, 0.2)
    assert loss.item() == pytest.approx(np.mean(values), rel=1e-6)
    equal = losses.exemplar_softmax(z, torch.ones(7, 3, dtype=DOUBLE), index, 0.2)
    assert equal.item() == pytest.approx(math.log(7), rel=1e-6)


# --- what keeps codes from collapsing ---------------------------------------------------------


def test_correlation_and_covariance_are_those_of_numpy(generator):
    z = normal(9, 4, generator=generator) + 1
    expected = sum(np.outer(row, row) for row in z.numpy()) / 9
    np.testing.assert_allclose(losses.correlation(z), expected)
    for correction in (0, 1):
        expected = np.cov(z.numpy(), rowvar=False, ddof=correction)
        np.testing.assert_allclose(losses.covariance(z, correction), expected)
    assert losses.covariance(z[:, :1]).shape == (1, 1)


def test_cross_correlation_is_pearsons(generator):
    a, b = 3 * normal(40, 3, generator=generator) + 5, normal(40, 3, generator=generator)
    b = b + 0.3 * a
    actual = losses.cross_correlation(a, b)
    for i in range(3):
        for j in range(3):
            x, y = a[:, i].numpy(), b[:, j].numpy()
            expected = np.mean((x - x.mean()) * (y - y.mean()))
            expected /= math.sqrt(x.var() + 1e-5) * math.sqrt(y.var() + 1e-5)
            assert actual[i, j].item() == pytest.approx(expected, rel=1e-9)
            assert actual[i, j].item() == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-4)


def test_identity_gap_takes_the_diagonal_from_the_rest():
    matrix = torch.tensor([[3.0, 1.0], [-2.0, 0.5]])
    assert [gap.item() for gap in losses.identity_gap(matrix)] == [4 + 0.25, 1 + 4]


def test_variance_hinge_counts_what_lacks_to_a_standard_deviation_of_one(generator):
    z = normal(30, 4, generator=generator) * torch.tensor([0.1, 0.5, 2.0, 0.0], dtype=DOUBLE)
    expected = np.mean([max(0, 1 - math.sqrt(np.var(c, ddof=1) + 1e-4)) for c in z.T.numpy()])
    assert losses.variance_hinge(z).item() == pytest.approx(expected)
    collapsed = torch.zeros(30, 4, requires_grad=True)
    losses.variance_hinge(collapsed).backward()
    assert collapsed.grad.isfinite().all()
    assert losses.variance_hinge(10 * normal(30, 4, generator=generator)) == 0


def test_covariance_penalty_is_the_mean_row_of_squared_covariances(generator):
    z = normal(20, 3, generator=generator)
    c = np.cov(z.numpy(), rowvar=False)
    expected = sum(c[i, j] ** 2 for i in range(3) for j in range(3) if i != j) / 3
    assert losses.covariance_penalty(z).item() == pytest.approx(expected)


def test_whitened_codes_have_identity_covariance(generator):
    z = normal(50, 6, generator=generator) @ normal(6, 6, generator=generator) + 3
    white = losses.whiten(z)
    np.testing.assert_allclose(white.mean(0), np.zeros(6), atol=1e-12)
    np.testing.assert_allclose(np.cov(white.numpy(), rowvar=False), np.eye(6), atol=1e-10)
    # By the Cholesky factor, and no other root: dimension 0 is only centred and scaled.
    first = (z[:, 0] - z[:, 0].mean()) / z[:, 0].std()
    torch.testing.assert_close(white[:, 0], first)


def test_shrunk_whitening_is_that_of_the_mixed_covariance(generator):
    z = normal(5, 8, generator=generator)  # fewer codes than dimensions
    covariance = 0.9 * np.cov(z.numpy(), rowvar=False) + 0.1 * np.eye(8)
    inverse = np.linalg.inv(np.linalg.cholesky(covariance))
    expected = np.stack([inverse @ row for row in (z - z.mean(0)).numpy()])
    np.testing.assert_allclose(losses.whiten(z, 0.1), expected, atol=1e-10)


def test_what_cannot_be_whitened_is_refused(generator):
    z = normal(8, 8, generator=generator)
    with pytest.raises(ValueError, match="8 codes of 8 dimensions can't be whitened"):
        losses.whiten(z)
    with pytest.raises(ValueError, match="20 codes of 3 dimensions has no inverse"):
        losses.whiten(torch.ones(20, 3))


def test_direct_predictor_has_the_roots_of_the_correlations_eigenvalues(generator):
    z = normal(30, 5, generator=generator) @ normal(5, 5, generator=generator)
    f = losses.correlation(z)
    w = losses.direct_predictor(f, 0.01).numpy()
    s = np.linalg.eigvalsh(f.numpy())
    np.testing.assert_allclose(np.linalg.eigvalsh(w), np.sqrt(s / s.max()) + 0.01, atol=1e-10)
    np.testing.assert_allclose(w, w.T, atol=1e-12)
    np.testing.assert_allclose(w @ f.numpy(), f.numpy() @ w, atol=1e-10)  # one eigenbasis


def test_direct_predictor_of_a_matrix_without_full_rank_is_finite():
    w = losses.direct_predictor(torch.diag(torch.tensor([4.0, 1.0, -1e-9])), 0.1)
    np.testing.assert_allclose(w, np.diag([1.1, 0.6, 0.1]), atol=1e-6)
    assert torch.equal(losses.direct_predictor(torch.zeros(3, 3), 0.5), torch.eye(3) / 2)


# --- independence -----------------------------------------------------------------------------


def stratified(size, dataset_size, a):
    """The weights of row a as the paper's appendix lists them: own, one other, the rest."""
    rest = size - 1
    weights = [1 / rest] * size
    weights[a] = 1 / dataset_size
    weights[(a + 1) % size] = (dataset_size - rest) / (dataset_size * rest)
    return weights


def slow_total_correlation(z, mean, log_variance, dataset_size):
    """Density by density, in plain Python."""
    size, dim = z.shape
    values = []
    for a in range(size):
        weights = [1 / size] * size
        if dataset_size is not None:
            weights = stratified(size, dataset_size, a)
        density = [
            [
                stats.norm.pdf(z[a, d], mean[b, d], math.exp(log_variance[b, d] / 2))
                for d in range(dim)
            ]
            for b in range(size)
        ]
        joint = sum(w * math.prod(p) for w, p in zip(weights, density, strict=True))
        product = math.prod(
            sum(w * p[d] for w, p in zip(weights, density, strict=True)) for d in range(dim)
        )
        values.append(math.log(joint) - math.log(product))
    return sum(values) / size


@pytest.mark.parametrize("dataset_size", [None, 6, 50])
def test_total_correlation_is_the_slow_rendering(dataset_size, generator):
    z, mean, log_variance = (normal(6, 3, generator=generator) for _ in range(3))
    expected = slow_total_correlation(z.numpy(), mean.numpy(), log_variance.numpy(), dataset_size)
    actual = losses.total_correlation(z, mean, log_variance, dataset_size)
    assert actual.item() == pytest.approx(expected, rel=1e-9)


def test_stratified_weights_make_the_mixture_of_the_whole_data_set(generator):
    """Over all batches that hold data point 0, the weighted density is the mean over all points."""
    density = torch.rand(5, generator=generator, dtype=DOUBLE)
    weights = losses.factors._stratified_weights(torch.zeros(3, 1, dtype=DOUBLE), len(density))[0]
    batches = [density[[0, *others]] for others in permutations(range(1, 5), 2)]
    mixture = torch.stack([weights @ batch for batch in batches]).mean()
    torch.testing.assert_close(mixture, density.mean())


@pytest.mark.parametrize("rho", [0.0, 0.7])
def test_total_correlation_of_a_gaussian_aggregate(rho, generator):
    """Posteriors N(m, s²) with m normal: the aggregate is normal, and its TC −½ log(1 − r²)."""
    points, size, noise = 2000, 256, 0.3
    root = torch.linalg.cholesky(torch.tensor([[1.0, rho], [rho, 1.0]]))
    means = torch.randn(points, 2, generator=generator) @ root.T
    covariance = np.cov(means.numpy(), rowvar=False) + noise**2 * np.eye(2)
    r = covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1])
    exact = -0.5 * math.log(1 - r**2)
    estimates = []
    for _ in range(20):
        mean = means[torch.randperm(points, generator=generator)[:size]]
        z = mean + noise * torch.randn(size, 2, generator=generator)
        log_variance = torch.full_like(z, 2 * math.log(noise))
        n = (points, None)
        estimates.append([losses.total_correlation(z, mean, log_variance, k).item() for k in n])
    unbiased, weighted = np.mean(estimates, 0)
    assert unbiased == pytest.approx(exact, abs=0.06)  # the fact sheet's tolerance
    # The paper's weighted estimate is (D − 1) log N above ours, and that is most of its error.
    assert weighted == pytest.approx(exact, abs=0.1)


def test_total_correlation_refuses_what_is_no_batch_of_a_data_set():
    one, four = torch.zeros(1, 2), torch.zeros(4, 2)
    with pytest.raises(ValueError, match="a batch of 1: total correlation needs 2 or more"):
        losses.total_correlation(one, one, one)
    with pytest.raises(ValueError, match="dataset_size=3 is less than the batch of 4"):
        losses.total_correlation(four, four, four, 3)


def test_shuffled_keeps_each_dimension_and_breaks_their_tie(generator):
    z = torch.arange(500.0)[:, None].repeat(1, 3)
    mixed = losses.shuffled(z, generator)
    assert torch.equal(mixed.sort(0).values, z)
    correlation = np.corrcoef(mixed.numpy(), rowvar=False)
    assert np.abs(correlation - np.eye(3)).max() < 0.2
    again = losses.shuffled(z, torch.Generator().manual_seed(0))
    assert torch.equal(mixed, again)


def all_pairs(dim):
    return torch.combinations(torch.arange(dim))


def slow_support(z, pairs):
    """Every combination, every code, in plain Python; differentiable, for its gradient."""
    total = 0
    for i, j in pairs.tolist():
        corners = []
        for a in range(len(z)):
            for b in range(len(z)):
                gaps = [(z[a, i] - z[n, i]) ** 2 + (z[b, j] - z[n, j]) ** 2 for n in range(len(z))]
                corners.append(min(gaps))
        total = total + max(corners)
    return total


@pytest.mark.parametrize(
    ("codes", "value"),
    [
        ([[0, 0], [1, 1]], 1),  # the vectors of the fact sheet, section 4.3
        ([[0, 0], [0, 1], [1, 0], [1, 1]], 0),
        ([[0, 0], [0.5, 0.5], [1, 1]], 0.5),
    ],
)
def test_factorised_support_by_hand(codes, value):
    assert losses.factorised_support(torch.tensor(codes).float(), all_pairs(2)) == value


def test_factorised_support_and_its_gradient_are_the_slow_ones(generator):
    z = normal(12, 4, generator=generator).requires_grad_()
    pairs = all_pairs(4)[[0, 2, 5]]
    fast, slow = losses.factorised_support(z, pairs), slow_support(z, pairs)
    torch.testing.assert_close(fast, slow)
    torch.testing.assert_close(
        torch.autograd.grad(fast, z)[0], torch.autograd.grad(slow, z)[0], rtol=1e-9, atol=1e-12
    )


def test_factorised_support_of_one_dimension_is_nought():
    assert losses.factorised_support(torch.rand(5, 1), all_pairs(1)) == 0


@pytest.mark.parametrize("batch", [3, 40])
def test_the_farthest_combination_of_each_pair_by_itself(batch, generator):
    z, pairs = normal(batch, 4, generator=generator), all_pairs(4)
    each = [slow_support(z, pair[None]) for pair in pairs] if batch < 20 else None
    gaps = losses.support_gaps(z, pairs)
    assert gaps.shape == (6,)
    torch.testing.assert_close(gaps.sum(), losses.factorised_support(z, pairs))
    if each:
        torch.testing.assert_close(gaps, torch.stack(each))


# --- a queue, and prototypes ------------------------------------------------------------------


def test_queue_info_nce_is_a_softmax_over_ones_own_key_and_the_queue(generator):
    query, key, queue = (normal(n, 3, generator=generator) for n in (5, 5, 4))
    values = []
    for q, k in zip(query, key, strict=True):
        cosines = [float(q @ x / (q.norm() * x.norm())) for x in (k, *queue)]
        total = sum(math.exp(c / 0.2) for c in cosines)
        values.append(-math.log(math.exp(cosines[0] / 0.2) / total))
    actual = losses.queue_info_nce(query, key, queue, 0.2)
    assert actual.item() == pytest.approx(np.mean(values), rel=1e-12)


def test_queue_info_nce_of_equal_scores_is_the_logarithm_of_all_candidates(generator):
    same = normal(1, 3, generator=generator)
    value = losses.queue_info_nce(same.expand(6, 3), same.expand(6, 3), same.expand(15, 3), 0.07)
    assert value.item() == pytest.approx(math.log(16))


def test_sinkhorn_is_the_papers_scaling_in_turns(generator):
    scores = normal(7, 4, generator=generator)
    q = np.exp(scores.numpy().T / 0.5)  # K × B, as in the paper
    for _ in range(3):
        q /= q.sum(1, keepdims=True) * 4
        q /= q.sum(0, keepdims=True) * 7
    np.testing.assert_allclose(losses.sinkhorn(scores, 0.5, 3), 7 * q.T, rtol=1e-12)


def test_sinkhorn_comes_to_use_all_prototypes_alike(generator):
    shares = losses.sinkhorn(normal(12, 4, generator=generator), 0.3, 200)
    np.testing.assert_allclose(shares.sum(1), np.ones(12), rtol=1e-12)
    np.testing.assert_allclose(shares.sum(0), np.full(4, 3.0), rtol=1e-6)
    # Of the form u exp(scores / epsilon) v: what makes it the optimum, not only a feasible point.
    scores = normal(12, 4, generator=generator)
    rest = losses.sinkhorn(scores, 0.3, 200).log() - scores / 0.3
    interaction = rest - rest.mean(0) - rest.mean(1, keepdim=True) + rest.mean()
    np.testing.assert_allclose(interaction, np.zeros((12, 4)), atol=1e-9)


def test_sinkhorn_of_a_small_epsilon_is_the_best_even_assignment():
    scores = torch.tensor([[1.0, 0.9], [0.9, 0.1], [0.8, 0.2], [0.7, 0.6]])  # all prefer the first
    shares = losses.sinkhorn(scores, 1e-3, 3000)
    np.testing.assert_allclose(shares[:, 1], [1, 0, 0, 1], atol=1e-2)  # those that lose least


@pytest.mark.parametrize("members", [2, 3])
def test_swapped_prediction_is_the_mean_over_ordered_pairs(members, generator):
    z, prototypes = normal(6, members, 3, generator=generator), normal(4, 3, generator=generator)
    scores = [(v / v.norm(dim=1, keepdim=True)) @ prototypes.T for v in z.unbind(1)]
    values = []
    for i, j in permutations(range(members), 2):
        shares = losses.sinkhorn(scores[i], 0.3, 2)
        p = torch.softmax(scores[j] / 0.2, dim=1)
        values.append(-(shares * p.log()).sum(1).mean().item())
    actual = losses.swapped_prediction(z, prototypes, 0.2, 0.3, 2).item()
    assert actual == pytest.approx(np.mean(values), rel=1e-12)


def test_swapped_prediction_takes_assignments_for_constants(generator):
    z = normal(6, 2, 3, generator=generator).requires_grad_()
    prototypes = normal(4, 3, generator=generator).requires_grad_()
    actual = torch.autograd.grad(losses.swapped_prediction(z, prototypes), (z, prototypes))
    scores = [torch.nn.functional.normalize(v, dim=1) @ prototypes.T for v in z.unbind(1)]

    def slow(constant):
        shares = [losses.sinkhorn(s.detach() if constant else s) for s in scores]
        log_p = [torch.log_softmax(s / 0.1, dim=1) for s in scores]
        total = -((shares[0] * log_p[1]).sum(1) + (shares[1] * log_p[0]).sum(1)).mean() / 2
        return torch.autograd.grad(total, (z, prototypes), retain_graph=True)

    for ours, same, other in zip(actual, slow(True), slow(False), strict=True):
        torch.testing.assert_close(ours, same)
        assert (ours - other).norm() > 0.1 * ours.norm()


# --- precision --------------------------------------------------------------------------------


def test_no_function_is_forgotten():
    here = {n for n, f in vars(losses).items() if getattr(f, "__module__", "").startswith(PACKAGE)}
    public = {name for name in here if name[0] != "_"}
    assert public == set(losses.__all__)
    assert public - {"shuffled"} == set(HALF_CASES)


@pytest.mark.parametrize("name", HALF_CASES)
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float32])
def test_half_precision_in_full_precision_out_autocast_or_not(name, kind):
    function, arguments = getattr(losses, name), HALF_CASES[name]

    def run(dtype):
        change = [a.to(dtype) if torch.is_tensor(a) and a.is_floating_point() else a
                  for a in arguments]  # fmt: skip
        result = function(*change)
        return result if isinstance(result, tuple) else (result,)

    expected = run(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        actual = run(kind)
    for ours, theirs in zip(actual, expected, strict=True):
        assert ours.dtype == torch.float32
        assert torch.equal(ours, theirs)


def test_double_precision_stays_double(generator):
    assert losses.info_nce(normal(4, 2, 3, generator=generator)).dtype == DOUBLE


@pytest.mark.parametrize("batch", [300, pytest.param(520, marks=pytest.mark.slow)])  # 2 a block, 1
def test_pairs_looked_at_in_blocks_are_those_looked_at_one_by_one(batch, generator):
    z, pairs = normal(batch, 3, generator=generator), all_pairs(3)
    each = torch.cat([losses.support_gaps(z, pair[None]) for pair in pairs])
    torch.testing.assert_close(losses.support_gaps(z, pairs), each)
