"""SimVE's relatives: group VAEs, CR-VAE, the mixture VAE, instance discrimination; and ELBOs."""

import math

import numpy as np
import pytest
import torch
from method_tools import check_resume, fall, for_digits, train
from scipy import stats
from torch import nn

from mdlib import data, losses, methods
from mdlib.methods.group_vae import mean_of_gaussians, product_of_gaussians
from mdlib.methods.vae import VAE, Posterior

SHAPE = (1, 8, 8)
FAMILY = {
    "gvae": {},
    "ml_vae": {},
    "cr_vae": {},
    "mixture_vae": {},
    "instance": {"instances": 1347},
}


def make(name, **options):
    settings = {"latent_dim": 4, "arch": "mlp-small"}
    return methods.create(name, image_shape=SHAPE, **settings | options)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed))


@pytest.fixture
def views():
    return torch.rand(12, 3, *SHAPE, generator=generator())


def posteriors(method, views):
    """Means and log-variances [B, J, D], made to differ more than a fresh encoder lets them."""
    with torch.no_grad():
        mean, log_variance = method.posterior(views.flatten(0, 1))
    return (10 * x.unflatten(0, views.shape[:2]) for x in (mean, log_variance))


def same_weights(name, like, **options):
    """A method with the weights of another, as far as both have them."""
    method = make(name, **options)
    method.load_state_dict(like.state_dict(), strict=False)
    return method


# --- group VAEs -------------------------------------------------------------------------------


def test_product_of_gaussians_is_proportional_to_the_product_of_their_densities():
    mean, log_variance = normal(1, 3, 1), normal(1, 3, 1, seed=1)
    (m,), (v,) = (x.flatten().double().numpy() for x in product_of_gaussians(mean, log_variance))
    grid = np.linspace(-15, 15, 20001)
    each = zip(mean.flatten().tolist(), log_variance.flatten().tolist(), strict=True)
    density = np.prod([stats.norm.pdf(grid, a, math.exp(b / 2)) for a, b in each], axis=0)
    density /= np.trapezoid(density, grid)
    np.testing.assert_allclose(stats.norm.pdf(grid, m, math.exp(v / 2)), density, atol=1e-5)


def test_mean_of_gaussians_is_the_mean_of_their_parameters():
    mean, log_variance = normal(5, 3, 2), normal(5, 3, 2, seed=1)
    m, v = mean_of_gaussians(mean, log_variance)
    assert m.shape == v.shape == (5, 1, 2)
    np.testing.assert_allclose(m[:, 0], mean.numpy().mean(1), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(v[:, 0].exp(), np.exp(log_variance.numpy()).mean(1), rtol=1e-4)


@pytest.mark.parametrize("name", ["gvae", "ml_vae"])
def test_group_vae_of_single_views_is_the_vae(name, views):
    vae = make("vae")
    group = same_weights(name, vae)
    single = views[:, :1]
    expected, _ = vae.loss(single, generator())
    torch.testing.assert_close(group.loss(single, generator())[0], expected, rtol=1e-5, atol=1e-5)
    expected.backward()
    group.loss(single, generator())[0].backward()
    for parameter, other in zip(vae.parameters(), group.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, other.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("name", "style_dim"), [("gvae", None), ("ml_vae", None), ("ml_vae", 3)])
def test_group_vae_pays_for_content_once_a_group_and_for_style_once_a_view(name, style_dim, views):
    method = make(name, style_dim=style_dim)
    content_dim = 3 if style_dim is None else 1
    mean, log_variance = posteriors(method, views)
    terms = method.regularisers(Posterior(mean, log_variance), None, None)
    m, v = mean.double().numpy(), np.exp(log_variance.double().numpy())

    def kl(m, v):
        return 0.5 * (m**2 + v - np.log(v) - 1).sum(-1)

    c, s = (..., slice(content_dim)), (..., slice(content_dim, None))
    if name == "gvae":
        pooled = m[c].mean(1), v[c].mean(1)
    else:
        precision = (1 / v[c]).sum(1)
        pooled = (m[c] / v[c]).sum(1) / precision, 1 / precision
    assert terms["content_kl"].item() == pytest.approx(kl(*pooled).mean() / 3, rel=1e-4)
    assert terms["style_kl"].item() == pytest.approx(kl(m[s], v[s]).mean(), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gvae", "ml_vae"])
def test_a_group_shares_one_draw_of_content_from_its_posterior(name, views):
    method = make(name, style_dim=2)
    mean, log_variance = (x[:1] for x in posteriors(method, views))
    draws = [method.draw(mean, log_variance, generator(i))[0] for i in range(4000)]
    z = torch.stack(draws).double()  # [4000, J, D]
    assert (z[:, :1, :2] == z[..., :2]).all()
    assert (z[:, :1, 2:] != z[:, 1:, 2:]).all()
    m, v = (x[0].double() for x in method.group_posterior(mean, log_variance))
    error = (v.exp() / len(z)).sqrt()
    assert ((z.mean(0) - m).abs() < 5 * error).all()
    torch.testing.assert_close(z.var(0), v.exp(), rtol=0.15, atol=0)
    torch.testing.assert_close(m[:, 2:], mean[0, :, 2:].double())  # each view's own style


def test_the_code_is_an_images_own_posterior_mean(views):
    method, vae = make("ml_vae"), make("vae")
    vae.load_state_dict(method.state_dict())
    assert torch.equal(method.encode(views[:, 0]), vae.encode(views[:, 0]))
    torch.testing.assert_close(method.encode(views[:1, 0]), method.encode(views[:, 0])[:1])


# --- CR-VAE -----------------------------------------------------------------------------------


def test_cr_vae_without_its_weight_is_the_vae_to_the_bit(views):
    vae = make("vae")
    sibling = same_weights("cr_vae", vae, consistency_weight=0)
    assert torch.equal(sibling.loss(views, generator())[0], vae.loss(views, generator())[0])


def test_consistency_is_the_mean_divergence_over_ordered_pairs(views):
    method = make("cr_vae", consistency_weight=5.0)
    total, terms = method.loss(views, generator())
    with torch.no_grad():
        mean, log_variance = (x.double() for x in method.posterior(views.flatten(0, 1)))
    q = torch.distributions.Normal(mean.view(12, 3, 4), (0.5 * log_variance).exp().view(12, 3, 4))
    pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
    each = [
        torch.distributions.kl_divergence(
            torch.distributions.Normal(q.mean[:, i], q.stddev[:, i]),
            torch.distributions.Normal(q.mean[:, j], q.stddev[:, j]),
        ).sum(-1).mean()
        for i, j in pairs
    ]  # fmt: skip
    assert terms["consistency"].item() == pytest.approx(np.mean(each), rel=1e-3)
    expected = terms["reconstruction"] + terms["kl"] + 5 * terms["consistency"]
    torch.testing.assert_close(total, expected)


def test_cr_vae_needs_two_views(views):
    with pytest.raises(ValueError, match="needs 2 or more, not 1"):
        make("cr_vae").loss(views[:, :1])


# --- the mixture VAE --------------------------------------------------------------------------


def mixture(seed=0, components=3):
    """A mixture VAE whose components overlap, and differ in weight and width."""
    method = make("mixture_vae", components=components, latent_dim=2)
    with torch.no_grad():
        method.weight_logits.copy_(normal(components, seed=seed))
        method.means.copy_(normal(components, 2, seed=seed + 1))
        method.log_variances.copy_(0.5 * normal(components, 2, seed=seed + 2))
    return method


def component_densities(method, z):
    """log π_c and log N(z; m_c, s_c²) by scipy; [N, 2] → [C] and [N, C]."""
    logits, means, variances = (
        x.detach().double().numpy()
        for x in (method.weight_logits, method.means, method.log_variances.exp())
    )
    each = [
        stats.norm.logpdf(z, m, np.sqrt(v)).sum(-1) for m, v in zip(means, variances, strict=True)
    ]
    return np.log(np.exp(logits) / np.exp(logits).sum()), np.stack(each, -1)


def test_one_standard_component_is_the_vae(views):
    vae = make("vae")
    sibling = same_weights("mixture_vae", vae, components=1)
    nn.init.zeros_(sibling.means)
    total, terms = sibling.loss(views, generator())
    torch.testing.assert_close(total, vae.loss(views, generator())[0], rtol=1e-6, atol=1e-5)
    assert terms["component_kl"] == 0
    z = normal(5, 4)
    torch.testing.assert_close(sibling.log_prior(z), vae.log_prior(z))
    assert (sibling.log_joint(z).softmax(-1) == 1).all()


def test_mixture_terms_are_the_model_sampled():
    """E[log q(z|x) γ_c − log π_c N(z; m_c, s_c²)] over z ~ q and c ~ γ, by Monte Carlo."""
    method = mixture()
    mean, log_variance, z = normal(1, 1, 2, seed=4), -normal(1, 1, 2, seed=5).abs(), normal(1, 1, 2)
    terms = method.regularisers(Posterior(mean, log_variance), z, None)
    log_pi, log_p = component_densities(method, z[0].double().numpy())
    joint = log_pi + log_p[0]
    gamma = np.exp(joint) / np.exp(joint).sum()
    np.testing.assert_allclose(method.log_joint(z).softmax(-1)[0, 0].detach(), gamma, rtol=1e-4)

    rng, n = np.random.default_rng(0), 200_000
    m, s = mean[0, 0].double().numpy(), (0.5 * log_variance[0, 0]).exp().double().numpy()
    new = m + s * rng.standard_normal((n, 2))
    c = rng.choice(3, n, p=gamma)
    log_q = stats.norm.logpdf(new, m, s).sum(1) + np.log(gamma[c])
    log_pi, log_p = component_densities(method, new)
    value = log_q - log_pi[c] - log_p[np.arange(n), c]
    total = (terms["kl"] + terms["component_kl"]).item()
    assert total == pytest.approx(value.mean(), abs=5 * value.std() / math.sqrt(n))
    assert terms["component_kl"].item() == pytest.approx(
        (gamma * np.log(gamma / np.exp(log_pi))).sum(), rel=1e-4
    )
    # It bounds what it stands for: KL(q(z|x) ‖ Σ_c π_c N(m_c, s_c²)).
    divergence = stats.norm.logpdf(new, m, s).sum(1) - np.log(np.exp(log_pi + log_p).sum(1))
    assert total > divergence.mean()


def test_mixture_prior_is_a_density_and_samples_follow_it():
    method = mixture()
    axis = torch.linspace(-12, 12, 601)
    grid = torch.cartesian_prod(axis, axis)
    density = method.log_prior(grid).exp().detach().double()
    assert (density.sum() * (24 / 600) ** 2).item() == pytest.approx(1, abs=1e-4)
    log_pi, log_p = component_densities(method, grid[:100].double().numpy())
    expected = np.log(np.exp(log_pi + log_p).sum(1))
    np.testing.assert_allclose(method.log_prior(grid[:100]).detach(), expected, rtol=1e-4)

    seen = []
    method.decode = lambda z: seen.append(z) or z
    method.sample(100_000, generator())
    (z,) = seen
    first = (density[:, None] * grid).sum(0) * (24 / 600) ** 2
    second = (density[:, None] * grid.square()).sum(0) * (24 / 600) ** 2
    np.testing.assert_allclose(z.mean(0), first, atol=0.03)
    np.testing.assert_allclose(z.square().mean(0), second, rtol=0.03)


@pytest.mark.slow
def test_components_stay_in_use():
    method = for_digits("mixture_vae")
    train(method, steps=120)
    codes = method.encode(data.load("digits").images)
    share = method.log_joint(codes).softmax(-1).mean(0)
    assert torch.special.entr(share).sum().exp() > 4  # of 10, counted by their entropy


# --- instance discrimination ------------------------------------------------------------------


@pytest.mark.parametrize("head_dim", [5, 0])
def test_instance_picks_each_views_own_image(head_dim, views):
    method = make("instance", instances=20, head_dim=head_dim, temperature=0.3)
    assert method.centres.shape == (20, head_dim or 4)
    index = torch.randperm(20, generator=generator())[:12]
    total, _ = method.loss(views, index=index)
    z = method.head(method.encoder(views.flatten(0, 1))).unflatten(0, (12, 3))
    each = [losses.exemplar_softmax(z[:, j], method.centres, index, 0.3) for j in range(3)]
    torch.testing.assert_close(total, torch.stack(each).mean())


@pytest.mark.slow
def test_instance_comes_to_know_its_images():
    method = for_digits("instance", instances=1347)
    train(method, steps=250)
    digits = data.load("digits")
    with torch.no_grad(), method.evaluating():
        z = method.head(method.encoder(digits.images.float() / 255))
        scores = z @ nn.functional.normalize(method.centres, dim=-1).T
    rank = (scores > scores.diagonal()[:, None]).sum(1).float()
    assert rank.median() < 350  # 673 by chance


def test_fit_refuses_more_images_than_instances():
    with pytest.raises(ValueError, match="1347 images: InstanceDiscrimination was made for 1346"):
        train(for_digits("instance", instances=1346))


# --- the evidence lower bound -----------------------------------------------------------------


class Linear(VAE):
    """p(x|z) = N(Az + b, v·I), and q(z|x) its exact posterior, so that the bound is log p(x)."""

    def __init__(self):
        super().__init__(SHAPE, 2, likelihood="gaussian", pixel_variance=0.3)
        self.decoder = nn.Sequential(nn.Linear(2, 64), nn.Unflatten(1, SHAPE))
        q, _ = torch.linalg.qr(normal(64, 2))  # orthogonal columns: the posterior is diagonal
        self.a, self.b = 3 * q, normal(64, seed=1)
        self.decoder[0].weight.data, self.decoder[0].bias.data = self.a, self.b

    def posterior(self, images):
        covariance = torch.linalg.inv(self.a.T @ self.a / 0.3 + torch.eye(2))
        mean = (images.flatten(1) - self.b) @ self.a @ covariance / 0.3
        return mean, covariance.diagonal().log().expand_as(mean)

    def reconstruction_nll(self, logits, images):
        return losses.gaussian_nll(logits, images, self.pixel_variance)

    def log_evidence(self, images):
        covariance = self.a @ self.a.T + 0.3 * torch.eye(64)
        model = torch.distributions.MultivariateNormal(self.b, covariance)
        return model.log_prob(images.flatten(1))


def test_elbo_of_the_exact_posterior_is_the_log_evidence(views):
    method = Linear()
    images = views[:, 0]
    actual = method.elbo(images, generator=generator())
    torch.testing.assert_close(actual, method.log_evidence(images), rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_elbo_of_another_posterior_is_below_by_its_divergence(views):
    method = Linear()
    images = views[:, 0]
    mean, log_variance = method.posterior(images)
    method.posterior = lambda x: (mean + 0.3, log_variance + 0.5)
    gap = losses.gaussian_kl_between(mean + 0.3, log_variance + 0.5, mean, log_variance)
    actual = method.elbo(images, draws=4000, generator=generator())
    torch.testing.assert_close(actual, method.log_evidence(images) - gap, rtol=0, atol=0.2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [("vae", {}), ("simve", {"centres": "gaussian"}), ("gvae", {}), ("ml_vae", {}),
     ("mixture_vae", {"components": 1})],
)  # fmt: skip
def test_elbo_is_minus_the_loss_of_single_views(name, options, views):
    method = make(name, **options)
    if name == "mixture_vae":
        nn.init.zeros_(method.means)
    images = (255 * views[:, 0]).to(torch.uint8)
    elbo = method.elbo(images, draws=400, generator=generator())
    assert elbo.shape == (12,) and not elbo.requires_grad
    single = (images.float() / 255)[:, None]
    with torch.no_grad():
        loss = np.mean([method.loss(single, generator(i))[0].item() for i in range(100)])
    assert elbo.mean().item() == pytest.approx(-loss, abs=0.15)


def test_elbo_knows_no_weights_and_no_batches(views):
    vae = make("vae")
    weighted = same_weights("beta_vae", vae, beta=7.0, reconstruction_weight=0.1)
    images = views[:, 0]
    assert torch.equal(vae.elbo(images, 2, generator()), weighted.elbo(images, 2, generator()))
    parts = vae.elbo(images, 500, generator(), batch_size=5)
    torch.testing.assert_close(parts, vae.elbo(images, 500, generator()), rtol=0, atol=0.8)


def test_elbo_of_simve_has_the_marginal_of_one_code(views):
    simve = make("simve", centres="gaussian", variance=0.3, centre_variance=1.2)
    z = normal(5, 4)
    expected = stats.norm.logpdf(z.numpy(), 0, math.sqrt(1.5)).sum(1)
    np.testing.assert_allclose(simve.log_prior(z), expected, rtol=1e-5)
    single = losses.group_prior(z[:, None], 0.3, 1.2)
    torch.testing.assert_close(simve.log_prior(z), single)


def test_elbo_refuses_what_has_none(views):
    with pytest.raises(ValueError, match=r"flat p\(y\) leaves z without a normalised prior"):
        make("simve").elbo(views[:, 0])
    with pytest.raises(ValueError, match="draws=0: expected a whole number"):
        make("vae").elbo(views[:, 0], draws=0)
    with pytest.raises(ValueError, match=r"made for \(1, 8, 8\)"):
        make("vae").elbo(torch.zeros(2, 1, 9, 9))


def test_generation_leaves_batch_norm_alone():
    vae = methods.create("vae", image_shape=(1, 16, 16), latent_dim=3, arch="resnet").train()
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    z, images = normal(4, 3), torch.rand(4, 1, 16, 16, generator=generator())
    torch.testing.assert_close(vae.decode(z)[:1], vae.decode(z[:1]))
    vae.elbo(images)
    vae.sample(2)
    assert vae.training
    assert all(torch.equal(before[name], value) for name, value in vae.state_dict().items())


# --- all of them ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"),
    [("simve", {}), ("simve", {"centres": "gaussian"}), ("gvae", {}), ("ml_vae", {}),
     ("cr_vae", {"consistency_weight": 1.0}), ("mixture_vae", {})],
)  # fmt: skip
def test_the_order_of_views_does_not_matter(name, options, views):
    method = make(name, **options)
    # Each posterior is a point, so that the noise does not tell the views apart.
    method.gaussian.register_forward_hook(
        lambda module, inputs, output: (10 * output[0], torch.full_like(output[1], -30.0))
    )
    first, second = (
        method.loss(v, generator())[1] for v in (views, views[:, torch.tensor([2, 0, 1])])
    )
    for term, value in first.items():
        assert second[term].item() == pytest.approx(value.item(), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILY)
def test_training_lowers_the_loss_and_codes_still_differ(name):
    method = for_digits(name, **FAMILY[name])
    history = train(method, steps=100)
    first, last = fall(history)
    assert last < 0.95 * first
    if "reconstruction" in history:
        first, last = fall(history, "reconstruction")
        assert last < 0.95 * first
    codes = method.encode(data.load("digits").images[:500])
    assert codes.std(0).max() > 0.1


@pytest.mark.parametrize("name", FAMILY)
def test_stopped_and_resumed_is_never_stopped(name, tmp_path):
    check_resume(name, tmp_path / "a.pt", **FAMILY[name])


@pytest.mark.parametrize("name", FAMILY)
def test_saved_weights_fit_a_method_made_of_its_options(name, views):
    method = make(name, **FAMILY[name])
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(0.1)
    again = methods.create(name, image_shape=SHAPE, latent_dim=4, seed=1, **method.options)
    again.load_state_dict(method.state_dict())
    assert torch.equal(method.encode(views[:, 0]), again.encode(views[:, 0]))
