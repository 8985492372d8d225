"""What every method promises, and what each is."""

import math

import pytest
import torch
from method_tools import LAW, check_resume, fall, for_digits, train
from torch import nn

from mdlib import losses, methods
from mdlib.training import ImageViews, fit
from mdlib.views import SharedStyle

SHAPE = (1, 16, 16)
TINY = {
    "wmse": {"head_dim": 4},  # whitening wants more images than dimensions
    "instance": {"instances": 50},
}


def make(name, **options):
    options = TINY.get(name, {}) | options
    return methods.create(name, image_shape=SHAPE, latent_dim=4, **options)


def loss(method, views, generator=None):
    """A method's loss, whatever it uses beside views."""
    extras = {"labels": torch.arange(len(views)) % 3, "index": torch.arange(len(views))}
    extras["parameters"] = LAW.draw(len(views), views.shape[1], SHAPE, torch.Generator())
    return method.loss(views, generator, **{name: extras[name] for name in method.uses})


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
    total, terms = loss(method, views, generator())
    assert total.ndim == 0 and total.isfinite()
    assert terms and all(term.ndim == 0 for term in terms.values())
    total.backward()
    gradients = [p.grad for p in method.parameters() if p.requires_grad]
    assert all(g is not None and g.isfinite().all() for g in gradients)


def test_same_generator_same_loss(method, views):
    first, second = (loss(method, views, generator(3))[0].item() for _ in range(2))
    assert first == second


def test_encode_gives_codes_and_leaves_the_method_as_it_was(method):
    method.train()
    loss(method, torch.rand(8, 2, *SHAPE))  # batch norm has seen something
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
    with pytest.raises(ValueError, match="batch_size=0: expected a whole number"):
        method.encode(torch.zeros(2, *SHAPE), batch_size=0)


@pytest.mark.slow
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
        ("infonce", {"code": "tanh"}, "code='tanh': expected one of"),
        ("byol", {"momentum": 1.5}, "momentum=1.5: expected"),
        ("byol", {"code": "tanh"}, "code='tanh': expected one of"),
        ("byol", {"head_dim": 0}, "head_dim=0: expected a whole number of at least 2"),
        (
            "simsiam",
            {"predictor_hidden": 0},
            "predictor_hidden=0: expected a whole number",
        ),
        ("barlow", {"redundancy_weight": -1}, "redundancy_weight=-1: expected 0 or"),
        ("vicreg", {"variance_weight": -1}, "variance_weight=-1: expected 0 or"),
        ("wmse", {"shrinkage": -0.1}, "shrinkage=-0.1: expected a number from 0 to 1"),
        ("wmse", {"part": 4}, "part=4: whitening needs more images than head_dim=4"),
        ("directpred", {"memory": 1.0}, "memory=1.0: expected a number from 0 to below 1"),
        ("directpred", {"floor": -1}, "floor=-1: expected 0 or"),
        ("beta_vae", {"beta": -1}, "beta=-1: expected 0 or"),
        ("beta_vae", {"likelihood": "poisson"}, "likelihood='poisson': expected one of"),
        ("annealed_vae", {"gamma": -1}, "gamma=-1: expected 0 or"),
        ("annealed_vae", {"ramp": 0}, "ramp=0: expected a number above 0"),
        ("factor_vae", {"gamma": -1}, "gamma=-1: expected 0 or"),
        (
            "factor_vae",
            {"discriminator_layers": 0},
            "discriminator_layers=0: expected a whole",
        ),
        ("beta_tcvae", {"estimator": "exact"}, "estimator='exact': expected one of"),
        ("beta_tcvae", {"estimator": "stratified"}, "give dataset_size=the number of training"),
        ("dip_vae", {"kind": "iii"}, "kind='iii': expected one of"),
        ("dip_vae", {"diagonal_weight": -1}, "diagonal_weight=-1: expected 0 or"),
        ("hfs_vae", {"pairs": 0}, "pairs=0: expected a whole number of at least 1"),
        ("hfs_vae", {"gamma": -1}, "gamma=-1: expected 0 or"),
        ("supervised", {"classes": 0}, "classes=0: expected a whole number of at least 2"),
        ("gvae", {"pooling": "sum"}, "pooling='sum': expected one of"),
        ("gvae", {"style_dim": 4}, "style_dim=4: expected 1 or more, and less than latent_dim=4"),
        ("ml_vae", {"style_dim": 0}, "style_dim=0: expected 1 or more"),
        ("cr_vae", {"consistency_weight": -1}, "consistency_weight=-1: expected 0 or"),
        ("mixture_vae", {"components": 0}, "components=0: expected a whole number of at least 1"),
        ("instance", {"instances": None}, "give instances=the number of training images"),
        ("instance", {"instances": 0}, "instances=0: give"),
        ("instance", {"instances": 1}, "instances=1: give"),
        ("instance", {"temperature": 0}, "temperature=0: expected a number above 0"),
        ("instance", {"instances": 1.5}, "instances=1.5: expected a whole number"),
        ("infonce", {"head_dim": -1}, "head_dim=-1: expected a whole number of at least 0"),
        ("directpred", {"momentum": -0.1}, "momentum=-0.1: expected a number from 0 to 1"),
        ("moco", {"queue_size": 0}, "queue_size=0: expected a whole number of at least 1"),
        ("moco", {"temperature": 0.0}, "temperature=0.0: expected a number above 0"),
        ("moco", {"momentum": 1.5}, "momentum=1.5: expected a number from 0 to 1"),
        ("swav", {"prototypes": 0}, "prototypes=0: expected a whole number of at least 2"),
        ("swav", {"epsilon": 0.0}, "epsilon=0.0: expected a number above 0"),
        ("swav", {"iterations": 0}, "iterations=0: expected a whole number of at least 1"),
        ("augself", {"trunk": "both"}, "trunk='both': expected one of"),
        ("factor_vae", {"discriminator_betas": (0.9,)}, "expected two numbers from 0 to below 1"),
        ("partitioned_vae", {"swap": "no"}, "swap='no': expected True or False"),
    ],
)
def test_options_without_sense_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        make(name, **options)


def test_an_option_is_refused_where_it_is_of_another_kind_than_its_default():
    """The kind is the rule: no method's count may be a share, no number of any a word."""
    for name in methods.names():
        for option, default in methods.options_of(methods.find(name)).items():
            if isinstance(default, bool):
                wrong = [1.5, "yes"]
            elif isinstance(default, int):
                wrong = [1.5, 2.0, "3", True, None]
            elif isinstance(default, float):
                wrong = ["a", float("nan"), True, None]
            else:
                continue
            for value in wrong:
                with pytest.raises(ValueError, match=f"{option}={value!r}: expected"):
                    make(name, **{option: value})


WHOLE = [
    (name, option)
    for name in methods.names()
    for option, default in methods.options_of(methods.find(name)).items()
    if type(default) is int
]
COSINES = "head_hidden", "head_dim", "predictor_hidden"
ALONE = [  # one of these makes a cosine or a choice that can't change
    (name, option)
    for name, option in WHOLE
    if option in ("prototypes", "classes")
    or (option in COSINES and name not in ("barlow", "vicreg"))
]


def pull(name, **options):
    """The largest gradient of the encoder on views of 16 images, of which pairs share a style."""
    law = SharedStyle(crop=(0.5, 1.0), brightness=0.3)
    images = torch.randint(256, (16, *SHAPE), dtype=torch.uint8, generator=generator())
    views, parameters = law(images, 2, generator(1))
    method = make(name, arch="mlp-small", seed=1, **options)  # others may begin with dead units
    labels = torch.arange(16) % (method.classes or 1)
    extras = {"labels": labels, "index": torch.arange(16), "parameters": parameters}
    total, _ = method.loss(views, generator(2), **{n: extras[n] for n in method.uses})
    total.backward()
    return max(w.grad.abs().max().item() for w in method.encoder.parameters())


@pytest.mark.parametrize(("name", "option"), WHOLE)
def test_a_size_at_its_least_still_teaches_the_encoder(name, option):
    """Adam makes steps of rounding errors, so moved weights would show nothing."""
    least = 1 + ((name, option) in ALONE)
    if least == 2:
        with pytest.raises(ValueError, match=f"{option}=1"):
            make(name, **{option: 1})
    if name == "wmse" and option in ("part", "head_hidden"):  # bound to head_dim, to whiten at all
        least = 8
    assert pull(name, **{option: least}) > 1e-4


@pytest.mark.parametrize("name", ["infonce", "instance"])
def test_a_code_of_one_dimension_needs_a_head_to_be_compared_by_cosines(name):
    with pytest.raises(ValueError, match=r"head_dim=0, latent_dim=1: \w+ compares by cosines"):
        methods.create(name, image_shape=SHAPE, latent_dim=1, head_dim=0, **TINY.get(name, {}))
    assert pull(name, head_dim=0) > 1e-4


def test_options_of_a_sibling_are_its_own_and_those_it_hands_on():
    vae, embedding = (set(methods.options_of(type(make(n)))) for n in ("vae", "barlow"))
    assert set(methods.options_of(type(make("beta_vae")))) == vae | {"beta"}
    assert embedding == {"arch", "code", "head_hidden", "head_dim", "redundancy_weight"}
    direct = methods.options_of(type(make("directpred")))  # two levels up
    assert direct == {
        "arch": "mlp", "code": "linear", "head_hidden": 256, "head_dim": 64, "momentum": 0.99,
        "memory": 0.3, "floor": 0.01,
    }  # fmt: skip
    wide = make("directpred", head_hidden=8, head_dim=5, arch="mlp-small")
    assert [m.out_features for m in wide.projector if hasattr(m, "out_features")] == [8, 5]
    with pytest.raises(ValueError, match="unknown option of method 'barlow' 'momentum'"):
        make("barlow", momentum=0.5)


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


# --- supervised -------------------------------------------------------------------------------


def test_supervised_is_the_cross_entropy_of_each_view_with_its_images_label(views):
    method = make("supervised", classes=3)
    labels = torch.tensor([0, 2, 1, 1, 0, 2])
    total, _ = method.loss(views, labels=labels)
    with torch.no_grad():
        scores = method.head(method.encoder(views.flatten(0, 1))).view(6, 2, 3).tolist()
    values = [
        math.log(sum(math.exp(s) for s in view)) - view[label]
        for image, label in zip(scores, labels.tolist(), strict=True)
        for view in image
    ]
    assert total.item() == pytest.approx(sum(values) / 12, rel=1e-5)
    assert method.head.out_features == method.classes == 3


def test_supervised_learns_and_resumes(tmp_path):
    first, last = fall(train(for_digits("supervised")))
    assert last < 0.8 * first
    check_resume("supervised", tmp_path / "a.pt")


@pytest.mark.parametrize("name", ["supervised", "infonce", "byol", "simsiam", "vicreg"])
def test_relu_code_is_what_encode_gives_and_what_the_head_reads(name, views):
    method = make(name, code="relu")
    codes = method.encode(views[:, 0])
    assert codes.min() == 0 and codes.max() > 0
    seen = []
    head = method.projector if hasattr(method, "projector") else method.head
    head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    loss(method, views)
    assert min(codes.min() for codes in seen) == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_every_method_trains_on_cuda():
    images = torch.randint(256, (40, *SHAPE), dtype=torch.uint8, generator=generator())
    for name in methods.names():
        history = fit(
            make(name), ImageViews(images, LAW, labels=torch.arange(40) % 10), steps=3,
            batch_size=20, device="cuda", progress=False,
        )  # fmt: skip
        assert len(history) == 3 and history.notna().all(axis=None), name


@pytest.mark.parametrize("latent_dim", [10, 1000])
@pytest.mark.parametrize("name", ["barlow", "directpred", "beta_tcvae", "factor_vae", "hfs_vae"])
def test_codes_may_be_narrow_or_wide(name, latent_dim, views):
    method = methods.create(name, image_shape=SHAPE, latent_dim=latent_dim, arch="mlp-small")
    assert loss(method, views)[0].isfinite()
    assert method.encode(views[:, 0]).shape == (6, latent_dim)


@pytest.mark.parametrize("name", methods.names())
def test_gradients_keep_their_direction_under_bfloat16(name):
    """What trains on CUDA: the direction of bfloat16's gradient is that of float32's."""
    method = methods.create(
        name, image_shape=SHAPE, latent_dim=16, arch="mlp-small", **TINY.get(name, {})
    )
    images = torch.rand(16, *SHAPE, generator=generator())
    views, _ = LAW(images, 2, generator(1))

    def gradient(half):
        method.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            total, terms = loss(method, views, generator(2))
        assert all(t.dtype == torch.float32 for t in (total, *terms.values()))
        total.backward()
        return torch.cat([p.grad.flatten() for p in method.parameters() if p.grad is not None])

    assert nn.functional.cosine_similarity(gradient(True), gradient(False), dim=0) > 0.97


def test_gaussian_pixels_have_the_decoders_sigmoid_for_a_mean(views):
    vae = make("vae", likelihood="gaussian", pixel_variance=0.3)
    logits, images = 3 * torch.randn(6, *SHAPE, generator=generator()), views[:, 0]
    expected = -torch.distributions.Normal(logits.sigmoid(), 0.3**0.5).log_prob(images)
    torch.testing.assert_close(vae.reconstruction_nll(logits, images), expected.sum((1, 2, 3)))


@pytest.mark.parametrize("name", ["vae", "simve", "mixture_vae"])
def test_samples_repeat_by_their_generator(name):
    method = make(name, **({"centres": "gaussian"} if name == "simve" else {}))
    assert torch.equal(method.sample(5, generator(1)), method.sample(5, generator(1)))
    assert not torch.equal(method.sample(5, generator(1)), method.sample(5, generator(2)))


def test_simve_samples_have_the_variances_of_its_model():
    simve = make("simve", centres="gaussian", variance=0.3, centre_variance=0.04)
    simve.decode = lambda z: z
    assert simve.sample(50_000, generator()).var().item() == pytest.approx(0.34, rel=0.02)
    centres = torch.tensor([[-50.0], [50.0]]).expand(2, 4)
    z = simve.sample(50_000, generator(), centres)
    assert (z > 0).float().mean().item() == pytest.approx(0.5, abs=0.01)  # of each centre
    assert (z.abs() - 50).var().item() == pytest.approx(0.3, rel=0.02)


DEFAULTS = {  # that other tests give values of their own
    "vae": {"pixel_variance": 0.01}, "factor_vae": {"gamma": 10.0, "discriminator_layers": 3},
    "hfs_vae": {"pairs": 25}, "cr_vae": {"consistency_weight": 1.0},
    "mixture_vae": {"components": 10}, "partitioned_vae": {"warmup": 0.4, "repel_margin": 4.0},
    "infonce": {"head_hidden": 256, "head_dim": 64}, "instance": {"temperature": 0.1},
    "simsiam": {"predictor_hidden": 32}, "wmse": {"part": 128}, "moco": {"queue_size": 1024},
    "swav": {"prototypes": 64},
}  # fmt: skip


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_those_of_stored_results(name):
    found = methods.options_of(methods.find(name))
    assert {option: found[option] for option in DEFAULTS[name]} == DEFAULTS[name]
