"""Codes of two parts: what each method does with content and with style, and the theory behind."""

import copy
import math

import numpy as np
import pytest
import torch
from method_tools import LAW, check_resume, fall, for_digits, train
from torch import nn
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    kl_divergence,
)
from torch.distributions import Normal as Gauss

from mdlib import data, losses, methods
from mdlib.methods.augself import DifferencePredictor
from mdlib.methods.partition import Partition
from mdlib.methods.style_terms import STYLE_TERMS, repulsion
from mdlib.methods.vae import Posterior
from mdlib.training import ImageViews, fit
from mdlib.views import SharedStyle, Views, style

SHAPE = (1, 8, 8)
VAES = ("partitioned_vae", "swap_vae")
TERMS = tuple(STYLE_TERMS)


def make(name, **options):
    settings = {"latent_dim": 6, "arch": "mlp-small"}
    if "vae" not in name:
        settings |= {"head_hidden": 16, "head_dim": 5}
    return methods.create(name, image_shape=SHAPE, **settings | options)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_views(images=12, members=2):
    return torch.rand(images, members, *SHAPE, generator=generator())


def shared_parameters(images=12, members=2):
    return SharedStyle(crop=(0.2, 1), rotation=30).draw(images, members, SHAPE, generator(1))


def loss(method, views):
    given = {"parameters": shared_parameters(*views.shape[:2])} if method.uses else {}
    return method.loss(views, generator(), **given)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed))


def cosines(a, b):
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    return (a * b).sum(1)


def ordered_pairs(members):
    return [(i, j) for i in range(members) for j in range(members) if i != j]


# --- the partition ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("latent_dim", "style_dim", "sizes"),
    [(16, None, (12, 4)), (2, None, (1, 1)), (5, 4, (1, 4)), (7, None, (6, 1))],
)
def test_parts_are_the_code_cut_in_two(latent_dim, style_dim, sizes):
    parts = Partition(latent_dim, style_dim)
    assert (parts.content_dim, parts.style_dim) == sizes
    codes = torch.arange(3.0 * latent_dim).view(3, latent_dim)
    content, style = parts(codes)
    assert torch.equal(torch.cat([content, style], 1), codes) and style.shape == (3, sizes[1])
    assert [part.shape for part in parts(codes[None])] == [(1, 3, size) for size in sizes]


@pytest.mark.parametrize("name", [*VAES, "partitioned_byol", "ddcl"])
def test_both_parts_need_a_dimension(name):
    for size in (0, 6, -1):
        with pytest.raises(ValueError, match=f"style_dim={size}: expected 1 or more, and less"):
            make(name, style_dim=size)
    with pytest.raises(ValueError, match="style_dim=1: expected 1 or more, and less than"):
        make(name, latent_dim=1)


@pytest.mark.parametrize("name", [*VAES, "partitioned_byol", "augself", "ddcl"])
def test_pairs_are_needed(name):
    with pytest.raises(ValueError, match="compares views of an image: it needs 2 or more, not 1"):
        loss(make(name), random_views(members=1))


# --- why a contrastive loss comes apart (E0 a) ------------------------------------------------


def test_distances_kl_and_normalised_cosines_split_over_the_parts():
    parts, (a, b) = Partition(8, 3), normal(2, 20, 8).double()
    (ca, sa), (cb, sb) = parts(a), parts(b)

    def squares(x, y):
        return (x - y).square().sum(1)

    torch.testing.assert_close(squares(a, b), squares(ca, cb) + squares(sa, sb))
    v, w = normal(2, 20, 8, seed=1).double()
    whole = losses.gaussian_kl_between(a, v, b, w)
    split = [
        losses.gaussian_kl_between(*each) for each in zip(*map(parts, (a, v, b, w)), strict=True)
    ]
    torch.testing.assert_close(whole, sum(split))

    def unit(*each):
        return torch.cat([nn.functional.normalize(x, dim=1) for x in each], 1)

    whole = losses.cosine_regression(unit(ca, sa), unit(cb, sb))
    halves = losses.cosine_regression(ca, cb) + losses.cosine_regression(sa, sb)
    torch.testing.assert_close(whole, halves / 2)


# --- the partitioned VAE ----------------------------------------------------------------------


def linear_gaussian():
    """A PartitionedVAE whose model is linear, and pairs of "views" drawn from that model.

    Content has 2 dimensions, style 1, a view 4 pixels, with noise of variance 1. Trained for a
    moment, so that its posteriors are near the true ones and the bound is near what it bounds.
    """
    method = methods.create(
        "partitioned_vae", image_shape=(1, 1, 4), latent_dim=3, style_dim=1, style_beta=1.0,
        align_weight=0.0, warmup=0.0,
    )  # fmt: skip
    weight = normal(4, 3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        method.encoder = nn.Sequential(nn.Flatten(), nn.Linear(4, 6))
    method.decoder = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Unflatten(1, (1, 1, 4)))
    method.decoder[0].weight = nn.Parameter(weight, requires_grad=False)
    method.reconstruction_nll = lambda x, images: losses.gaussian_nll(x, images)
    content, style = normal(2000, 1, 2, seed=1).expand(-1, 2, -1), normal(2000, 2, 1, seed=2)
    views = torch.cat([content, style], 2) @ weight.T + normal(2000, 2, 4, seed=3)
    optimiser, draw = torch.optim.Adam(method.encoder.parameters(), 0.02), generator(4)
    views = views[:, :, None, None]
    for _ in range(300):
        optimiser.zero_grad()
        method.loss(views, draw)[0].backward()
        optimiser.step()
    c, s = weight[:, :2], weight[:, 2:]
    own = c @ c.T + s @ s.T + torch.eye(4)
    covariance = torch.cat([torch.cat([own, c @ c.T], 1), torch.cat([c @ c.T, own], 1)])
    evidence = MultivariateNormal(torch.zeros(8), covariance).log_prob(views.flatten(1))
    return method, views, evidence


@pytest.mark.slow
def test_the_loss_bounds_the_evidence_of_both_views():
    """E0 c: −2 · loss = E_q log p(v, c, s)/q(c, s) − JS ≤ log p(v), with the mixture q of c."""
    method, views, evidence = linear_gaussian()
    with torch.no_grad():
        bound = -2 * torch.stack([method.loss(views, generator(s))[0] for s in range(50)]).mean()
        assert evidence.mean() - 2 < bound < evidence.mean() - 0.5

        view, draws = views[:5], 20_000
        mean, log_variance = (x.view(5, 2, 3) for x in method.posterior(view.flatten(0, 1)))
        (mc, ms), (sc, ss) = method.parts(mean), method.parts((0.5 * log_variance).exp())
        with torch.random.fork_rng():
            torch.manual_seed(0)
            singles = Independent(Gauss(mc, sc), 1)
            mixture = MixtureSameFamily(Categorical(torch.ones(5, 2)), singles)
            c, s = mixture.sample((draws,)), Gauss(ms, ss).sample((draws,))
            one = singles.sample((draws,))  # [draws, 5, 2, 2]
        z = torch.cat([c[:, :, None].expand(-1, -1, 2, -1), s], -1)
        x = method.decoder(z.flatten(0, 2)).view(draws, 5, 2, 4)
        log_ratio = (
            Gauss(x, 1).log_prob(view.view(5, 2, 4)).sum((2, 3))
            + Gauss(0, 1).log_prob(c).sum(2) + Gauss(0, 1).log_prob(s).sum((2, 3))
            - mixture.log_prob(c) - Gauss(ms, ss).log_prob(s).sum((2, 3))
        )  # fmt: skip
        # The toy is right: importance weights average to the evidence.
        estimate = log_ratio.logsumexp(0) - math.log(draws)
        torch.testing.assert_close(estimate, evidence[:5], atol=0.3, rtol=0)
        log_single = singles.log_prob(one)
        log_mixed = torch.stack([mixture.log_prob(one[:, :, j]) for j in range(2)], 2)
        js = (log_single - log_mixed).mean(2)
        assert (js.mean(0) > 0).all() and js.mean() < math.log(2)
        many = view.repeat_interleave(draws // 10, 0)
        ours = torch.stack([-2 * method.loss(many, generator(s))[0] for s in range(10)]).mean()
    error = 4 * (log_ratio - js).mean(1).std() / math.sqrt(draws)
    torch.testing.assert_close(ours, (log_ratio - js).mean(), atol=2 * error.item(), rtol=0)


def gaussians(method, views):
    """Means and variances of all views, as NumPy sees them: [B, J, D]."""
    with torch.no_grad():
        mean, log_variance = method.posterior(views.flatten(0, 1))
    return (x.double().unflatten(0, views.shape[:2]).numpy() for x in (mean, log_variance.exp()))


def kl(m, v, n=0.0, w=1.0):
    return (0.5 * (v / w + (m - n) ** 2 / w - 1 + np.log(w / v))).sum(-1)


@pytest.mark.parametrize("members", [2, 3])
def test_terms_of_the_partitioned_vae_are_the_formulas(members):
    method, views = make("partitioned_vae", style_dim=2, repel_margin=3.0), random_views(9, members)
    m, v = gaussians(method, views)
    pairs = ordered_pairs(members)
    _, terms = method.loss(views, generator())
    assert list(terms) == [
        "reconstruction", "swapped", "content_kl", "style_kl", "alignment", "repulsion",
    ]  # fmt: skip
    expected = {
        "content_kl": kl(m[..., :4], v[..., :4]).mean() / members,
        "style_kl": kl(m[..., 4:], v[..., 4:]).mean(),
        "alignment": np.mean(
            [kl(m[:, i, :4], v[:, i, :4], m[:, j, :4], v[:, j, :4]).mean() for i, j in pairs]
        )
        / members,
        "repulsion": np.mean(
            [np.maximum(0, 3 - ((m[:, i, 4:] - m[:, j, 4:]) ** 2).sum(1)).mean() for i, j in pairs]
        )
        / members,
    }
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value, rel=1e-4), name
    full = make("partitioned_vae", style_dim=2, content_kl="view").loss(views, generator())[1]
    assert full["content_kl"].item() == pytest.approx(members * expected["content_kl"], rel=1e-4)


@pytest.mark.parametrize("members", [2, 3])
@pytest.mark.parametrize("name", VAES)
def test_reconstructions_take_contents_of_all_views(name, members):
    method, views = make(name, latent_dim=4), random_views(5, members)
    z = normal(5, members, 4)
    nll = {}
    for i in range(members):
        for j in range(members):
            code = torch.cat([z[:, j, :3], z[:, i, 3:]], 1)
            nll[i, j] = method.reconstruction_nll(method.decoder(code), views[:, i]).mean().item()
    own = np.mean([nll[i, i] for i in range(members)])
    swapped = np.mean([nll[pair] for pair in ordered_pairs(members)])
    actual = {k: v.item() for k, v in method.reconstructions(z, views).items()}
    total = own + swapped if name == "swap_vae" else np.mean(list(nll.values()))
    assert actual == pytest.approx({"reconstruction": total, "swapped": swapped}, rel=1e-5)
    image = method.swap(z[:, 1, :3], z[:, 0, 3:])
    torch.testing.assert_close(
        image, method.decoder(torch.cat([z[:, 1, :3], z[:, 0, 3:]], 1)).sigmoid()
    )


@pytest.mark.parametrize("name", VAES)
def test_between_identical_views_swapping_is_reconstructing(name):
    """E0 f, with its gradient. Without noise: else c differs between identical views."""
    method, views = make(name), random_views(members=1).repeat(1, 2, 1, 1, 1)
    mean = method.posterior(views.flatten(0, 1))[0].unflatten(0, (-1, 2))
    own, swapped = method.exchanged(mean, views)
    assert own.item() == pytest.approx(swapped.item(), rel=1e-6)
    weights = [*method.encoder.parameters(), *method.decoder.parameters()]
    first, second = (torch.autograd.grad(x, weights, retain_graph=True) for x in (own, swapped))
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    other, apart = method.exchanged(normal(*mean.shape), views)
    assert abs(other - apart) > 1e-3


def test_plain_beta_vae_is_a_setting_of_the_partitioned_vae():
    views = random_views()
    plain = make("beta_vae", beta=3.0)
    method = make(
        "partitioned_vae", swap=False, content_kl="view", content_beta=3.0, style_beta=3.0,
        align_weight=0.0, warmup=0.0,
    )  # fmt: skip
    method.load_state_dict(plain.state_dict(), strict=False)
    expected, terms = plain.loss(views, generator())
    actual, parts = method.loss(views, generator())
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(parts["content_kl"] + parts["style_kl"], terms["kl"])


def test_weights_multiply_their_terms_and_warm_up():
    method, views = make("partitioned_vae", repel_weight=5.0, warmup=0.5), random_views()
    for step, warmth in [(None, 0.0), (0, 0.2), (3, 0.8), (4, 1.0), (9, 1.0)]:
        if step is not None:
            method.after_step(step, 10)
        total, t = method.loss(views, generator())
        kept = t["content_kl"] + 6 * t["style_kl"] + 0.3 * t["alignment"]
        expected = t["reconstruction"] + warmth * kept + 5 * t["repulsion"]
        torch.testing.assert_close(total, expected)
    cold = make("partitioned_vae", warmup=0.0)
    assert cold.warmth == 1
    cold.after_step(0, 10)
    assert cold.warmth == 1


def test_swap_vae_is_the_papers_sum():
    method, views = make("swap_vae", style_dim=2), random_views()
    total, terms = method.loss(views, generator())
    m, v = gaussians(method, views)
    align = (2 - 2 * cosines(m[:, 0, :4], m[:, 1, :4])).mean()
    assert terms["alignment"].item() == pytest.approx(align, abs=1e-5)
    assert terms["style_kl"].item() == pytest.approx(kl(m[..., 4:], v[..., 4:]).mean(), rel=1e-4)
    expected = terms["reconstruction"] + 10 * terms["style_kl"] + terms["alignment"]
    torch.testing.assert_close(total, expected)

    mean, log_variance = (torch.zeros(1000, 2, 6), torch.zeros(1000, 2, 6))
    content, style = method.parts(method.draw(mean, log_variance, generator()))
    assert (content == 0).all() and style.std().item() == pytest.approx(1, abs=0.05)
    for ask in (method.sample, method.elbo):
        with pytest.raises(ValueError, match="contents have n"):
            ask(3)


# --- the partitioned BYOL ---------------------------------------------------------------------


def same_weights(a, b):
    """b with the weights of a, where both have them."""
    b.load_state_dict(a.state_dict(), strict=False)
    return b


@pytest.mark.parametrize("term", TERMS)
def test_content_is_byols_and_sees_no_style(term):
    """Without its weight each is BYOL on a code without the style part, gradients included."""
    method, views = make("partitioned_byol", style_term=term, style_weight=0.0), random_views()
    byol = make("byol", latent_dim=5)
    for theirs, ours in [
        (byol.encoder, method.encoder), (byol.target_encoder, method.target_encoder),
    ]:  # fmt: skip
        with torch.no_grad():
            for a, b in zip(theirs.parameters(), ours.parameters(), strict=True):
                a.copy_(b[: len(a)])  # only the last layer is smaller, by the style part
    for part in ("projector", "predictor", "target_projector"):
        getattr(byol, part).load_state_dict(getattr(method, part).state_dict())
    expected, actual = byol.loss(views)[0], loss(method, views)[0]
    torch.testing.assert_close(actual, expected)
    expected.backward()
    actual.backward()
    grads = method.encoder[-1].weight.grad
    torch.testing.assert_close(grads[:5], byol.encoder[-1].weight.grad, rtol=1e-4, atol=1e-6)
    assert (grads[5:] == 0).all()


@pytest.mark.parametrize("term", TERMS)
def test_half_the_weight_keeps_the_ratio_to_the_sum_of_both_orders(term):
    method, views = make("partitioned_byol", style_term=term, style_weight=0.5), random_views()
    total, terms = loss(method, views)
    both_orders = 2 * terms["regression"]
    torch.testing.assert_close(2 * total, both_orders + 0.5 * terms["style"])


def style_numbers(method, views):
    """Projections, predictions and targets of each view's style, [B, head_dim] each."""
    term, results = method.style, []
    with torch.no_grad():
        for view in views.unbind(1):
            z = term.projector(method.parts(method.encoder(view))[1])
            t = term.target_projector(method.parts(method.target_encoder(view))[1])
            results.append([x.double().numpy() for x in (z, term.predictor(z), t)])
    return zip(*results, strict=True)


@pytest.mark.parametrize("members", [2, 3])
@pytest.mark.parametrize("term", ["attract", "repel_predicted", "orthogonal", "shared"])
def test_style_terms_with_a_predictor_are_the_formulas(term, members):
    method = make("partitioned_byol", style_term=term)
    with torch.no_grad():
        for p in method.target_encoder.parameters():
            p.mul_(0.9)
    views = random_views(10, members)
    _, p, t = style_numbers(method, views)
    pairs = [cosines(p[i], t[j]).mean() for i, j in ordered_pairs(members)]
    partners = [cosines(p[j], np.roll(t[j], 5, axis=0)).mean() for j in range(members)]
    expected = {
        "attract": 2 - 2 * np.mean(pairs),
        "repel_predicted": 2 + 2 * np.mean(pairs),
        "orthogonal": abs(np.mean(pairs)),
        "shared": 2 - 2 * np.mean(partners),
    }[term]
    assert loss(method, views)[1]["style"].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("members", [2, 3])
def test_style_terms_without_a_predictor_are_the_formulas(members):
    method, views = make("partitioned_byol"), random_views(10, members)
    with torch.no_grad():
        codes = [method.encoder(v) for v in views.unbind(1)]
        z = [method.style.projector(method.parts(c)[1]).double().numpy() for c in codes]
    expected = 2 + 2 * np.mean([cosines(z[i], z[j]).mean() for i, j in ordered_pairs(members)])
    assert loss(method, views)[1]["style"].item() == pytest.approx(expected, abs=1e-5)

    shared = same_weights(method, make("partitioned_byol", style_term="shared_contrast"))
    rows = np.concatenate(z)
    partner = np.concatenate([10 * j + np.roll(np.arange(10), 5) for j in range(members)])
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    scores = rows @ rows.T / 0.5
    np.fill_diagonal(scores, -np.inf)
    chosen = scores[np.arange(len(rows)), partner]
    expected = np.mean(np.log(np.exp(scores).sum(1)) - chosen)
    assert loss(shared, views)[1]["style"].item() == pytest.approx(expected, abs=1e-5)


def test_a_predictor_absorbs_the_sign_of_repulsion():
    """E0 b: minus the predictor's last layer turns "repel_predicted" into "attract"."""
    repel, views = make("partitioned_byol", style_term="repel_predicted"), random_views()
    attract = make("partitioned_byol", style_term="attract")
    attract.load_state_dict(repel.state_dict())
    assert abs(loss(repel, views)[0] - loss(attract, views)[0]) > 1e-3
    with torch.no_grad():
        attract.style.predictor[-1].weight.neg_()
    (a, _), (b, _) = loss(repel, views), loss(attract, views)
    assert torch.equal(a, b)
    a.backward()
    b.backward()
    for (name, p), q in zip(repel.named_parameters(), attract.parameters(), strict=True):
        if p.requires_grad:
            sign = -1 if name == f"style.predictor.{len(repel.style.predictor) - 1}.weight" else 1
            assert torch.equal(p.grad, sign * q.grad), name


def test_repulsion_of_independent_views_is_at_least_2_on_average():
    """E0 e, and the two cases between which it lies: styles that ignore the view, or the image."""
    image, views = normal(4000, 3), normal(4000, 2, 3, seed=1)
    layer = normal(6, 4, seed=2)
    u, v = (torch.tanh(torch.cat([image, w], 1) @ layer) for w in views.unbind(1))
    each = repulsion(u, v)
    assert each.mean() > 2 - 3 * each.std() / 4000**0.5
    assert repulsion(image, image).mean().item() == pytest.approx(4)
    apart = repulsion(*views.unbind(1))
    assert apart.mean().item() == pytest.approx(2, abs=4 * (apart.std() / 4000**0.5).item())


def test_the_schedule_of_the_target_is_byols_and_holds_for_the_style_head():
    """E0 d."""
    method = make("partitioned_byol", style_term="attract", momentum=0.9)
    taus = [method.momentum_at(step, 100) for step in (0, 50, 100)]
    assert taus == pytest.approx([0.9, 0.95, 1.0])
    old = copy.deepcopy(method)
    with torch.no_grad():
        for p in method.parameters():
            p.add_(p.requires_grad * 1.0)
    method.after_step(50, 100)
    for target, online in [
        ("target_encoder", "encoder"), ("target_projector", "projector"),
        ("style.target_projector", "style.projector"),
    ]:  # fmt: skip
        now, before = method.get_submodule(target), old.get_submodule(target)
        fast = method.get_submodule(online)
        for a, b, c in zip(now.parameters(), before.parameters(), fast.parameters(), strict=True):
            torch.testing.assert_close(a, 0.95 * b + 0.05 * c)


def scalars(module):
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def test_two_heads_have_the_parameters_of_the_repelling_ones():
    attract, predicted, repel = (
        make("partitioned_byol", style_term=t) for t in ("attract", "repel_predicted", "repel")
    )
    assert scalars(attract) == scalars(predicted)
    predictor = scalars(attract.style.predictor)
    assert scalars(attract) == scalars(repel) + predictor
    for part in ("encoder", "projector", "predictor"):  # what content has is the same in all
        count = {scalars(getattr(m, part)) for m in (attract, repel)}
        assert len(count) == 1


@pytest.mark.parametrize("term", ["none", "augmentation"])
def test_a_style_projector_that_no_loss_reaches_stays_as_it_began(term):
    method = make("partitioned_byol", style_term=term)
    before = copy.deepcopy(method.style_projector.state_dict())
    fit(
        method, ImageViews(torch.randint(256, (24, *SHAPE), dtype=torch.uint8), LAW), steps=3,
        batch_size=12, weight_decay=0.1, device="cpu", progress=False,
    )  # fmt: skip
    after = method.style_projector.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize("name", ["partitioned_byol", "ddcl"])
def test_projections_of_both_parts(name):
    method = make(name).train()
    loss(method, random_views())
    images = torch.randint(256, (7, *SHAPE), dtype=torch.uint8)
    content, style = method.project_parts(images, batch_size=3)
    assert method.training and content.shape == style.shape == (7, 5)
    method.eval()
    parts = method.parts(method.encode(images))
    torch.testing.assert_close(content, method.projector(parts[0]).detach())
    torch.testing.assert_close(style, method.style_projector(parts[1]).detach())


@pytest.mark.parametrize("term", ["shared", "shared_contrast"])
def test_shared_terms_refuse_views_that_share_nothing(term):
    method, views = make("partitioned_byol", style_term=term), random_views()
    for parameters in (LAW.draw(12, 2, SHAPE, generator()), {}):
        with pytest.raises(
            ValueError, match=r"the same parameters: draw the views from views\.Sha"
        ):
            method.loss(views, parameters=parameters)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("partitioned_vae", {"content_kl": "pair"}, "content_kl='pair': expected one of"),
        ("partitioned_vae", {"style_beta": -1}, "style_beta=-1: expected 0 or"),
        ("partitioned_vae", {"warmup": 1500}, "warmup=1500: expected a number from 0 to 1"),
        ("swap_vae", {"align_weight": -1}, "align_weight=-1: expected 0 or"),
        ("partitioned_byol", {"style_term": "push"}, "style_term='push': expected one of"),
        ("partitioned_byol", {"style_weight": -1}, "style_weight=-1: expected 0 or"),
        ("augself", {"augmentation_weight": -1}, "augmentation_weight=-1: expected 0 or"),
        ("ddcl", {"style_weight": -1}, "style_weight=-1: expected 0 or"),
    ],
)
def test_options_without_sense_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        make(name, **options)


# --- AugSelf ----------------------------------------------------------------------------------


@pytest.mark.parametrize("members", [2, 3])
def test_differences_are_scaled_by_their_range_and_averaged_within_an_augmentation(members):
    law = type(LAW)(crop=(0.2, 1), hflip=0.5, rotation=20, brightness=0.3, contrast=0.5)
    parameters = law.draw(9, members, SHAPE, generator())
    columns = style(parameters)
    codes = [normal(9, 4, seed=j) for j in range(members)]
    method = DifferencePredictor(4, 8)
    pairs = ordered_pairs(members)
    with torch.no_grad():
        inputs = torch.cat([torch.cat([codes[i], codes[j]], 1) for i, j in pairs])
        outputs = iter(method.network(inputs).unflatten(0, (-1, 9)).unbind(2))

    def regression(column):
        column, output = column / (column.max() - column.min()), next(outputs).tanh()
        each = [output[n] - (column[:, i] - column[:, j]) for n, (i, j) in enumerate(pairs)]
        return torch.cat(each).square().mean().item()

    def same(column):
        p, each = next(outputs).sigmoid(), []
        for n, (i, j) in enumerate(pairs):
            each.append(torch.where(column[:, i] == column[:, j], p[n], 1 - p[n]).log())
        return -torch.cat(each).mean().item()

    crop = np.mean([regression(columns[f"crop {n}"]) for n in ("y", "x", "height", "width")])
    flip = same(columns["horizontal flip"])
    angle = torch.deg2rad(columns["rotation"])
    rotation = np.mean([regression(angle.cos()), regression(angle.sin())])
    colour = np.mean([regression(columns[n]) for n in ("brightness", "contrast")])
    actual = method(codes, parameters).item()
    assert actual == pytest.approx(crop + flip + rotation + colour, rel=1e-5)


def test_augself_adds_half_its_weight_times_the_differences_of_the_whole_code():
    byol, views = make("byol"), random_views()
    method = same_weights(byol, make("augself", augmentation_weight=3.0))
    total, terms = loss(method, views)
    torch.testing.assert_close(terms["regression"], byol.loss(views)[0])
    torch.testing.assert_close(total, terms["regression"] + 1.5 * terms["differences"])
    codes = [method.encoder(v) for v in views.unbind(1)]
    torch.testing.assert_close(terms["differences"], method.differences(codes, shared_parameters()))
    partitioned = make("partitioned_byol", style_term="augmentation")
    codes = [partitioned.parts(partitioned.encoder(v))[1] for v in views.unbind(1)]
    torch.testing.assert_close(
        loss(partitioned, views)[1]["style"],
        partitioned.style.differences(codes, shared_parameters()),
    )


def test_parameters_that_stand_still_are_no_trouble_and_none_at_all_is_an_error():
    method, codes = DifferencePredictor(4, 8), [normal(9, 4, seed=j) for j in range(2)]
    still = method(codes, {"hue": torch.zeros(9, 2, 1)})
    assert still.isfinite()
    with pytest.raises(ValueError, match="no parameters to predict: use a law that varies"):
        method(codes, {})


# --- DDCL -------------------------------------------------------------------------------------


def test_ddcl_is_twice_the_papers_loss_and_a_constant():
    method, views = make("ddcl", style_weight=0.7), random_views()
    cos = {"content": [], "style": []}
    with torch.no_grad():
        codes = [method.parts(method.encoder(v)) for v in views.unbind(1)]
        for part, (projector, predictor) in enumerate(
            [
                (method.projector, method.predictor),
                (method.style_projector, method.style_predictor),
            ]
        ):
            z = [projector(c[part]) for c in codes]
            p = [predictor(x).numpy() for x in z]
            name = ("content", "style")[part]
            cos[name] = (cosines(p[0], z[1].numpy()) + cosines(p[1], z[0].numpy())).mean() / 2
    paper = -cos["content"] + 0.7 * abs(cos["style"])
    total, _ = method.loss(views)
    assert total.item() == pytest.approx(2 + 2 * paper, abs=1e-5)
    assert abs(cos["style"]) > 1e-4


# --- in training ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["partitioned_vae", "swap_vae", "augself", "ddcl"])
def test_training_lowers_the_loss_and_both_parts_differ_between_images(name):
    method = for_digits(name)
    history = train(method, steps=80)
    term = "reconstruction" if name in VAES else "loss"  # a warm-up raises the total
    first, last = fall(history, term)
    assert last < 0.95 * first
    codes = method.encode(data.load("digits").images[:300])
    assert codes.isfinite().all()
    assert min(part.std(0).max() for part in Partition(16)(codes)) > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("term", TERMS)
def test_training_with_each_style_term(term):
    method = for_digits("partitioned_byol", style_term=term, head_dim=32)
    law = SharedStyle(**vars(LAW)) if term.startswith("shared") else LAW
    history = fit(
        method, ImageViews(data.load("digits").images, law), steps=80, batch_size=64,
        device="cpu", progress=False,
    )  # fmt: skip
    first, last = fall(history)
    assert last < 0.97 * first
    if term != "none":
        first, last = fall(history, "style")
        assert last < first
    if term == "repel":
        assert 1.85 < last < 2.3
    content, _ = method.project_parts(data.load("digits").images[:300])
    spread = nn.functional.normalize(content, dim=1).std(0).mean() * 32**0.5
    assert spread > 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("partitioned_vae", {}), ("swap_vae", {}), ("augself", {"head_hidden": 8, "head_dim": 4}),
        ("ddcl", {"head_hidden": 8, "head_dim": 4}),
        ("partitioned_byol", {"style_term": "attract", "head_hidden": 8, "head_dim": 4}),
    ],
)  # fmt: skip
def test_stopped_and_resumed_is_never_stopped(name, options, tmp_path):
    check_resume(name, tmp_path / "a.pt", **options)


def test_each_augmentation_may_have_a_network_of_its_own():
    law = Views(crop=(0.3, 1.0), rotation=30, brightness=0.4, contrast=0.4, hflip=0.5)
    views, parameters = law(torch.rand(8, *SHAPE), 2, torch.Generator().manual_seed(0))
    method = make("augself", trunk="separate")
    _, terms = method.loss(views, parameters=parameters)
    terms["differences"].backward()
    networks = method.differences.networks
    learn = {n for n, m in networks.items() if m[0].weight.grad is not None}
    assert learn == {"crop", "horizontal", "rotation", "colour"}
    assert networks["crop"][-1].out_features == 4 and networks["rotation"][-1].out_features == 2
    assert networks["colour"][-1].out_features == 5  # hue is two of them
    with pytest.raises(ValueError, match="trunk='one': expected one of"):
        make("augself", trunk="one")


@pytest.mark.parametrize("term", TERMS)
def test_a_style_term_moves_the_style_part_of_the_encoder_alone(term):
    method, views = make("partitioned_byol", style_term=term), random_views()
    style = loss(method, views)[1]["style"]
    if term == "none":
        assert not style.requires_grad
        return
    (grad,) = torch.autograd.grad(style, method.encoder[-1].weight)  # 5 rows of content, 1 of style
    assert (grad[:5] == 0).all() and grad[5].norm() > 1e-6


def test_repulsion_pulls_at_both_views():
    method, views = make("partitioned_byol", style_term="repel"), random_views()
    styles = [method.parts(method.encoder(v))[1].detach().requires_grad_() for v in views.unbind(1)]
    u, v = (nn.functional.normalize(method.style.projector(s), dim=1) for s in styles)
    expected = torch.autograd.grad((2 + 2 * (u * v).sum(1)).mean(), styles)
    actual = torch.autograd.grad(method.style(styles, styles, {}), styles)
    torch.testing.assert_close(actual, expected)


def test_alignment_and_repulsion_pull_at_both_views():
    method = make("partitioned_vae", style_dim=2, repel_margin=9.0)
    q = [normal(9, 2, 6, seed=s).requires_grad_() for s in (0, 1)]
    terms = method.regularisers(Posterior(*q), None, None)
    (a, b), (v, w) = ((x[..., :4].unbind(1)) for x in q)
    first, second = (Gauss(m, (0.5 * s).exp()) for m, s in ((a, v), (b, w)))
    both = kl_divergence(first, second) + kl_divergence(second, first)
    s, t = q[0][..., 4:].unbind(1)
    expected = {
        "alignment": both.sum(1).mean() / 4,  # the mean of two orders, once a group of two
        "repulsion": (9 - (s - t).square().sum(1)).clamp(min=0).mean() / 2,
    }
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value)
        ours, theirs = (
            torch.autograd.grad(x, q[0], retain_graph=True)[0] for x in (terms[name], value)
        )
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("term", ["shared", "shared_contrast"])
def test_each_batch_of_shared_views_is_looked_at(term):
    method, views = make("partitioned_byol", style_term=term), random_views()
    loss(method, views)
    with pytest.raises(ValueError, match="the same parameters"):
        method.loss(views, parameters=LAW.draw(12, 2, SHAPE, generator()))


def test_what_predicts_differences_has_three_layers_and_batch_norm():
    kinds = [type(m).__name__ for m in DifferencePredictor(4, 8).network]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU"] * 2 + ["Linear"]
