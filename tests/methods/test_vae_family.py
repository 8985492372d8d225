"""The VAE's siblings: what each adds, from its formula, and the limit where it weighs nothing."""

import math

import numpy as np
import pytest
import torch
from method_tools import check_resume, fall, for_digits, train

from mdlib import data, losses, methods
from mdlib.methods.vae import Posterior

SHAPE = (1, 8, 8)
FAMILY = ("beta_vae", "annealed_vae", "factor_vae", "beta_tcvae", "dip_vae", "hfs_vae")


def make(name, **options):
    settings = {"latent_dim": 4, "arch": "mlp-small"}
    return methods.create(name, image_shape=SHAPE, **settings | options)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def views():
    return torch.rand(12, 2, *SHAPE, generator=generator())


def posteriors(method, views):
    """Means and variances [B, J, D], as NumPy sees them."""
    with torch.no_grad():
        mean, log_variance = method.posterior(views.flatten(0, 1))
    return (x.double().unflatten(0, (-1, 2)).numpy() for x in (mean, log_variance.exp()))


def kl(mean, variance):
    """Of each view from N(0, 1), by its definition for one dimension, summed."""
    return (0.5 * (mean**2 + variance - np.log(variance) - 1)).sum(-1).mean()


# --- limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("beta_vae", {"beta": 1}),
        ("beta_tcvae", {"beta": 1}),
        ("beta_tcvae", {"beta": 1, "estimator": "stratified", "dataset_size": 100}),
        ("factor_vae", {"gamma": 0}),
        ("dip_vae", {"kind": "i", "off_diagonal_weight": 0}),
        ("dip_vae", {"kind": "ii", "off_diagonal_weight": 0}),
        ("hfs_vae", {"beta": 1, "gamma": 0}),
    ],
)
def test_without_its_weight_each_is_the_vae_to_the_bit(name, options, views):
    vae, sibling = make("vae"), make(name, **options)
    sibling.load_state_dict(vae.state_dict(), strict=False)  # FactorVAE has a discriminator, too
    expected, _ = vae.loss(views, generator())
    actual, terms = sibling.loss(views, generator())
    if name != "factor_vae":
        assert torch.equal(actual, expected)
    else:
        torch.testing.assert_close(actual - terms["discriminator"], expected)
    expected.backward()
    actual.backward()
    for parameter, other in zip(vae.parameters(), sibling.parameters(), strict=False):
        assert torch.equal(parameter.grad, other.grad)


@pytest.mark.parametrize("name", FAMILY)
def test_total_is_reconstruction_and_the_weighted_terms(name, views):
    method = make(name, reconstruction_weight=3.0)
    total, terms = method.loss(views, generator())
    expected = 3 * terms.pop("reconstruction")
    expected = expected + sum(method.term_weights.get(n, 1) * term for n, term in terms.items())
    torch.testing.assert_close(total, expected)


# --- β-VAE and AnnealedVAE --------------------------------------------------------------------


def test_beta_multiplies_the_kl(views):
    method = make("beta_vae", beta=7.0)
    total, terms = method.loss(views, generator())
    expected = terms["reconstruction"].item() + 7 * kl(*posteriors(method, views))
    assert total.item() == pytest.approx(expected, rel=1e-5)


def test_capacity_grows_to_its_end_and_stays():
    method, grown = make("annealed_vae", capacity=20.0, ramp=0.5), []
    for step in range(10):
        grown.append(method.capacity_now.item())
        method.after_step(step, 10)
    assert grown == pytest.approx([0, 4, 8, 12, 16, 20, 20, 20, 20, 20])


@pytest.mark.parametrize("capacity", [0.0, 50.0])  # below the KL, and above
def test_annealed_vae_pays_for_the_distance_from_its_capacity(capacity, views):
    method = make("annealed_vae", gamma=30.0)
    method.capacity_now.fill_(capacity)
    total, terms = method.loss(views, generator())
    gap = abs(kl(*posteriors(method, views)) - capacity)
    assert total.item() == pytest.approx(terms["reconstruction"].item() + 30 * gap, rel=1e-5)


@pytest.mark.slow
def test_annealed_vae_comes_to_hold_its_capacity():
    method = for_digits("annealed_vae", capacity=5.0)
    assert train(method, steps=60)["kl"].iloc[-10:].mean() == pytest.approx(5, abs=1)


# --- FactorVAE --------------------------------------------------------------------------------


def part(method, name, terms):
    """The gradient of one term in the discriminator, and in all the rest; zeros where none."""
    inside = [*method.discriminator.parameters()]
    outside = [p for n, p in method.named_parameters() if not n.startswith("discriminator")]
    grads = torch.autograd.grad(terms[name], inside + outside, retain_graph=True, allow_unused=True)
    sizes = [0.0 if g is None else g.abs().max().item() for g in grads]
    return max(sizes[: len(inside)]), max(sizes[len(inside) :])


def test_neither_player_of_factor_vae_moves_the_other(views):
    method = make("factor_vae")
    _, terms = method.loss(views, generator())
    of_discriminator, of_encoder = part(method, "discriminator", terms)
    assert of_discriminator > 0 and of_encoder == 0
    of_discriminator, of_encoder = part(method, "total_correlation", terms)
    assert of_discriminator == 0 and of_encoder > 0


def test_factor_vae_terms_are_the_density_ratio_and_its_cross_entropies(views):
    method = make("factor_vae", discriminator_hidden=8, discriminator_layers=2)
    draws = {}
    method.discriminator.register_forward_pre_hook(
        lambda module, inputs: draws.setdefault(len(draws), inputs[0].detach())
    )
    _, terms = method.loss(views, generator())
    z, again, mixed = draws.values()
    assert torch.equal(z, again) and z.shape == (24, 4)
    assert torch.equal(mixed.sort(0).values, z.sort(0).values) and not torch.equal(mixed, z)

    def probability(codes):
        h = codes.detach().double().numpy()
        layers = [m for m in method.discriminator if isinstance(m, torch.nn.Linear)]
        assert [layer.out_features for layer in layers] == [8, 8, 1]
        for i, layer in enumerate(layers):
            w, b = (p.detach().double().numpy() for p in (layer.weight, layer.bias))
            h = h @ w.T + b
            h = np.where((h > 0) | (i == 2), h, 0.2 * h)
        return 1 / (1 + np.exp(-h))

    p, q = probability(z), probability(mixed)
    tc = np.mean(np.log(p / (1 - p)))
    assert terms["total_correlation"].item() == pytest.approx(tc, rel=1e-4)
    loss = -0.5 * np.mean(np.log(p)) - 0.5 * np.mean(np.log(1 - q))
    assert terms["discriminator"].item() == pytest.approx(loss, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.3, 0.8])
def test_the_discriminator_learns_the_total_correlation_of_a_gaussian(rho):
    """The two terms alone, on codes whose total correlation is −½ log(1 − ρ²)."""
    method = make("factor_vae", latent_dim=2, discriminator_hidden=64, discriminator_layers=2)
    optimiser = torch.optim.Adam(method.discriminator.parameters())
    draw = generator(1)
    root = torch.linalg.cholesky(torch.tensor([[1.0, rho], [rho, 1.0]]))

    def terms(size):
        z = torch.randn(size, 1, 2, generator=draw) @ root.T
        return method.regularisers(Posterior(z, torch.zeros_like(z)), z, draw)

    for step in range(250):
        optimiser.param_groups[0]["lr"] = 2e-3 * (1 - step / 250)
        optimiser.zero_grad()
        terms(1024)["discriminator"].backward()
        optimiser.step()
    exact = -0.5 * math.log(1 - rho**2)
    estimate = terms(50_000)["total_correlation"].item()
    assert estimate == pytest.approx(exact, rel=0.15, abs=0.02)  # the fact sheet's tolerances


# --- β-TCVAE ----------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ["weighted", "stratified"])
def test_beta_tcvae_adds_the_total_correlation_of_each_view_by_itself(estimator, views):
    method = make("beta_tcvae", beta=5.0, estimator=estimator, dataset_size=40)
    total, terms = method.loss(views, generator())
    with torch.no_grad():
        mean, log_variance = method.posterior(views.flatten(0, 1))
        noise = torch.empty_like(mean).normal_(generator=generator())
        z = mean + (0.5 * log_variance).exp() * noise
    n = 40 if estimator == "stratified" else None
    rows = [slice(j, None, 2) for j in range(2)]  # of view j
    tc = [losses.total_correlation(z[r], mean[r], log_variance[r], n).item() for r in rows]
    assert terms["total_correlation"].item() == pytest.approx(np.mean(tc), rel=1e-4)
    expected = terms["reconstruction"] + terms["kl"] + 4 * terms["total_correlation"]
    torch.testing.assert_close(total, expected)


def test_beta_tcvae_refuses_a_batch_larger_than_its_data_set(views):
    method = make("beta_tcvae", estimator="stratified", dataset_size=5)
    with pytest.raises(ValueError, match="dataset_size=5 is less than the batch of 12"):
        method.loss(views)


# --- DIP-VAE ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "diagonal_weight"), [("i", 20.0), ("ii", 2.0)])
def test_dip_vae_pays_for_what_the_covariance_lacks_to_the_identity(kind, diagonal_weight, views):
    method = make("dip_vae", kind=kind, off_diagonal_weight=2.0)
    total, terms = method.loss(views, generator())
    mean, variance = (x.reshape(24, 4) for x in posteriors(method, views))
    c, penalty = np.cov(mean, rowvar=False, ddof=0), 0.0
    if kind == "ii":
        c += np.diag(variance.mean(0))
    for i in range(4):
        for j in range(4):
            penalty += diagonal_weight * (c[i, i] - 1) ** 2 if i == j else 2 * c[i, j] ** 2
    expected = terms["reconstruction"].item() + kl(mean, variance) + penalty
    assert total.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_dip_vae_training_brings_the_covariance_nearer_to_the_identity():
    def after(weight):
        method = for_digits("dip_vae", kind="i", off_diagonal_weight=weight)
        gap = train(method)["diagonal"].iloc[-1]
        correlation = torch.corrcoef(method.encode(data.load("digits").images).T)
        return gap, correlation.abs().mean()

    free, held = after(0.0), after(5.0)
    assert held[0] < 0.5 * free[0] and held[1] < 0.7 * free[1]


# --- HFS --------------------------------------------------------------------------------------


def brute_support(codes, i, j):
    """The farthest corner, from all combinations and codes at once."""
    x, y = codes[:, i], codes[:, j]
    d = (x[:, None, None] - x) ** 2 + (y[None, :, None] - y) ** 2  # [a, b, n]
    return d.min(-1).max()


def test_hfs_adds_the_support_of_each_view_by_itself(views):
    method = make("hfs_vae", beta=2.0, gamma=3.0, scale_weight=5.0)
    total, terms = method.loss(views, generator())
    mean, variance = posteriors(method, views)
    pairs = [(i, j) for i in range(4) for j in range(i)]
    support = np.mean([sum(brute_support(mean[:, k], *p) for p in pairs) for k in range(2)])
    std = np.sqrt(mean.var(0, ddof=1) + 1e-4)
    scale = np.maximum(0, 1 - std).mean()
    assert terms["support"].item() == pytest.approx(support, rel=1e-4)
    expected = terms["reconstruction"].item() + 2 * kl(mean, variance) + 3 * support + 5 * scale
    assert total.item() == pytest.approx(expected, rel=1e-5)


def test_hfs_looks_at_some_pairs_only_and_the_generator_picks_them(views):
    method = make("hfs_vae", pairs=2)
    mean, _ = posteriors(method, views)
    pairs = [(i, j) for i in range(4) for j in range(i)]
    each = [np.mean([brute_support(mean[:, k], *p) for k in range(2)]) for p in pairs]
    sums = {round(a + b, 4) for n, a in enumerate(each) for b in each[:n]}  # of 2 different pairs
    seen = {round(method.loss(views, generator(s))[1]["support"].item(), 4) for s in range(20)}
    assert len(seen) > 3
    assert all(min(abs(s - t) for t in sums) < 2e-4 for s in seen)


def test_the_gradient_of_support_reaches_the_encoder(views):
    method = make("hfs_vae")
    _, terms = method.loss(views, generator())
    grads = torch.autograd.grad(terms["support"], method.encoder.parameters())
    assert all(g.isfinite().all() for g in grads) and any(g.abs().max() > 0 for g in grads)


# --- in training ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILY)
def test_training_lowers_the_loss_and_codes_still_differ(name):
    method = for_digits(name)
    history = train(method)
    first, last = fall(history)
    assert last < 0.95 * first
    first, last = fall(history, "reconstruction")
    assert last < 0.95 * first
    codes = method.encode(data.load("digits").images[:500])
    assert codes.std(0).max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILY)
def test_stopped_and_resumed_is_never_stopped(name, tmp_path):
    check_resume(name, tmp_path / "a.pt")


# --- options with the papers' values ------------------------------------------------------------


def test_the_discriminator_may_have_an_optimiser_of_its_own():
    method = make("factor_vae", discriminator_lr=1e-4, discriminator_betas=(0.5, 0.9))
    rest, own = method.parameter_groups()
    assert own["rate"] == 1e-4 and own["betas"] == (0.5, 0.9) and rest.keys() == {"params"}
    assert {id(p) for p in own["params"]} == {id(p) for p in method.discriminator.parameters()}
    assert len(rest["params"]) + len(own["params"]) == len(list(method.parameters()))
    assert "rate" not in make("factor_vae").parameter_groups()[1]  # fit's
    with pytest.raises(ValueError, match=r"discriminator_betas=.*expected two numbers from 0 to"):
        make("factor_vae", discriminator_betas=(0.5, 1.0))


def test_the_scale_term_of_hfs_may_be_a_sum():
    views = torch.rand(8, 2, *SHAPE, generator=torch.Generator().manual_seed(0))
    mean, total = (
        make("hfs_vae", scale_term=term).loss(views, torch.Generator().manual_seed(1))[1]["scale"]
        for term in ("mean", "sum")
    )
    dim = make("hfs_vae").latent_dim
    assert total.item() == pytest.approx(dim * mean.item(), rel=1e-6) and mean > 0
