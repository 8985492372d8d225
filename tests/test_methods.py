"""What every method promises, and what each is."""

import math

import pytest
import torch
from torch import nn

from mdlib import losses, methods

SHAPE = (1, 16, 16)


def make(name, **options):
    return methods.create(name, image_shape=SHAPE, latent_dim=4, **options)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def views():
    return torch.rand(6, 2, *SHAPE, generator=generator())


@pytest.fixture(params=methods.names())
def method(request):
    return make(request.param)


# --- the face ---------------------------------------------------------------------------------


def test_loss_is_a_finite_scalar_with_named_terms_and_a_gradient(method, views):
    total, terms = method.loss(views, generator())
    assert total.ndim == 0 and total.isfinite()
    assert terms and all(term.ndim == 0 for term in terms.values())
    total.backward()
    gradients = [p.grad for p in method.parameters() if p.requires_grad]
    assert all(g is not None and g.isfinite().all() for g in gradients)


def test_same_generator_same_loss(method, views):
    first, second = (method.loss(views, generator(3))[0].item() for _ in range(2))
    assert first == second


def test_encode_gives_codes_and_leaves_the_method_as_it_was(method):
    method.train()
    method.loss(torch.rand(8, 2, *SHAPE))  # batch norm has seen something
    before = {name: value.clone() for name, value in method.state_dict().items()}
    images = torch.randint(256, (11, *SHAPE), dtype=torch.uint8)
    codes = method.encode(images, batch_size=4)
    assert codes.shape == (11, 4) and codes.dtype == torch.float32 and not codes.requires_grad
    torch.testing.assert_close(codes, method.encode(images.float() / 255))  # batches don't matter
    assert method.training
    assert all(torch.equal(before[name], value) for name, value in method.state_dict().items())


def test_encode_refuses_images_of_another_shape(method):
    with pytest.raises(ValueError, match=r"made for \(1, 16, 16\)"):
        method.encode(torch.zeros(2, 3, 16, 16))


def test_the_seed_alone_decides_the_weights(method):
    name = next(n for n in methods.names() if make(n).__class__ is method.__class__)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    same, other = make(name, seed=0), make(name, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    pairs = list(zip(method.parameters(), same.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert any(not torch.equal(a, c) for a, _, c in pairs)


def test_unknown_names_are_refused_with_the_valid_ones():
    with pytest.raises(ValueError, match=r"unknown method 'simva': did you mean 'simve'"):
        make("simva")
    with pytest.raises(ValueError, match=r"unknown option of method 'vae' 'varaince'"):
        make("vae", varaince=0.1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vae", {"likelihood": "poisson"}, "likelihood='poisson': expected one of"),
        ("vae", {"reconstruction_weight": 0}, "reconstruction_weight=0: expected"),
        ("simve", {"variance": -1.0}, "variance=-1.0: expected"),
        ("simve", {"centres": "mog"}, "centres='mog': expected"),
        ("simve", {"centre_variance": 1.0}, "a flat p\\(y\\) has none"),
        ("simve", {"centres": "gaussian", "variance": 1.5}, "centre_variance=-0.5"),
        ("infonce", {"temperature": 0.0}, "temperature=0.0: expected"),
        ("byol", {"momentum": 1.5}, "momentum=1.5: expected"),
    ],
)
def test_options_without_sense_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        make(name, **options)


# --- VAE and SimVE ----------------------------------------------------------------------------


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_vae_loss_is_the_weighted_sum_of_its_terms(likelihood, views):
    vae = make("vae", likelihood=likelihood, reconstruction_weight=3.0)
    total, terms = vae.loss(views, generator())
    assert total.item() == pytest.approx((3 * terms["reconstruction"] + terms["kl"]).item())


def test_simve_with_one_view_and_gaussian_centres_is_the_vae(views):
    vae, simve = make("vae"), make("simve", centres="gaussian", variance=0.15)
    simve.load_state_dict(vae.state_dict())
    single = views[:, :1]
    torch.testing.assert_close(
        simve.loss(single, generator())[0], vae.loss(single, generator())[0], rtol=1e-6, atol=1e-4
    )
    assert simve.loss(views, generator())[0] != vae.loss(views, generator())[0]


def test_simve_terms_are_the_model_sampled(views):
    """−ELBO/J from the joint density of the group, by Monte Carlo over q."""
    simve = make("simve", centres="gaussian", variance=0.3, centre_variance=0.9)
    _, terms = simve.loss(views, generator())
    with torch.no_grad():
        mean, log_variance = simve.posterior(views.flatten(0, 1))
        noise = torch.randn(4000, *mean.shape, generator=generator(1))
        z = (mean + (0.5 * log_variance).exp() * noise).reshape(4000 * 6, 2, 4)
        covariance = 0.3 * torch.eye(2) + 0.9
        joint = torch.distributions.MultivariateNormal(torch.zeros(2), covariance)
        prior = -joint.log_prob(z.transpose(1, 2)).sum(1) / 2
    error = prior.std().item() / math.sqrt(len(prior))
    assert terms["group_prior"].item() == pytest.approx(prior.mean().item(), abs=4 * error)
    assert terms["entropy"] == -losses.gaussian_entropy(log_variance).mean()


def test_generative_methods_decode_reconstruct_and_sample():
    for method in (make("vae"), make("simve", centres="gaussian")):
        images = torch.randint(256, (3, *SHAPE), dtype=torch.uint8)
        for result in (method.reconstruct(images), method.sample(3, generator())):
            assert result.shape == images.shape
            assert result.min() >= 0 and result.max() <= 1


def test_flat_centres_are_sampled_around_given_codes_only():
    simve = make("simve")
    with pytest.raises(ValueError, match=r"flat p\(y\) can't be sampled: give centres"):
        simve.sample(2)
    centres = torch.full((5, 4), 100.0)
    simve.decoder = nn.Sequential(nn.Linear(4, 4), nn.Unflatten(1, (1, 2, 2)))
    nn.init.eye_(simve.decoder[0].weight)
    nn.init.zeros_(simve.decoder[0].bias)
    assert (simve.sample(50, generator(), centres) == 1).all()  # sigmoid(≈100): near the centres


# --- BYOL and InfoNCE -------------------------------------------------------------------------


def test_momentum_rises_from_its_base_to_one():
    byol = make("byol", momentum=0.9)
    assert byol.momentum_at(0, 100) == pytest.approx(0.9)
    assert byol.momentum_at(50, 100) == pytest.approx(0.95)
    assert byol.momentum_at(100, 100) == pytest.approx(1.0)


def test_target_is_the_moving_average_and_gets_no_gradient(views):
    byol = make("byol", momentum=0.9)
    with torch.no_grad():
        for p in byol.encoder.parameters():
            p.add_(1.0)
    old = [p.clone() for p in byol.target_encoder.parameters()]
    byol.after_step(0, 10)
    for before, after, online in zip(
        old, byol.target_encoder.parameters(), byol.encoder.parameters(), strict=True
    ):
        torch.testing.assert_close(after, 0.9 * before + 0.1 * online)
    byol.loss(views)[0].backward()
    assert all(p.grad is None for p in byol.target_encoder.parameters())


def test_byol_loss_is_the_mean_over_both_orders(views):
    byol = make("byol")
    p = [byol.predictor(byol.projector(byol.encoder(v))) for v in views.unbind(1)]
    t = [byol.target_projector(byol.target_encoder(v)) for v in views.unbind(1)]
    cosine = nn.functional.cosine_similarity
    expected = ((2 - 2 * cosine(p[0], t[1])).mean() + (2 - 2 * cosine(p[1], t[0])).mean()) / 2
    torch.testing.assert_close(byol.loss(views)[0], expected)


def test_byol_needs_two_views(views):
    with pytest.raises(ValueError, match="needs 2 or more, not 1"):
        make("byol").loss(views[:, :1])


def test_infonce_without_head_acts_on_the_code(views):
    bare = make("infonce", head_dim=0)
    z = bare.encoder(views.flatten(0, 1)).unflatten(0, (6, 2))
    torch.testing.assert_close(bare.loss(views)[0], losses.info_nce(z, 0.5))
