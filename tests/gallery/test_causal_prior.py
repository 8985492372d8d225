"""gallery/causal_prior: the causal prior and its do() against hand-made ones, the readings of codes
whose answer is known, and the theorem's cell with its broken twins."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from chapter_cells import broken, check, namespace, run, tagged, text
from torch import nn

from mdlib.data import causal
from mdlib.figures import pictures
from mdlib.notebook import results
from mdlib.registry import random_stream

CHAPTER = "gallery/causal_prior"
BREAKS = [
    ("return 0.5 * (ratio.trace()", "return 1.0 * (ratio.trace()"),
    ("ratio = torch.linalg.solve(other, cov)", "ratio = torch.linalg.solve(cov, other)"),
    ("cov = causal.Simulation.covariance()", "cov = 2 * causal.Simulation.covariance().tril()"),
    ("price = 0.5 * (cov.diag()", "price = 1.0 * (cov.diag()"),
]


@pytest.fixture
def chapter():
    """The chapter's definitions on 64 samples of the simulation."""
    space = namespace(text(CHAPTER), device="cpu", steps=2, batch_size=8)
    space["place"] = causal.Simulation()
    space["x"], space["y"], space["noise"] = space["place"].draw(64, random_stream(0))
    return space


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=[0, 7])
def prior(request):
    """Affine and piecewise linear, with arrows of all lengths."""
    prior = namespace(text(CHAPTER))["SCM"](torch.ones(4, 4).triu(1), request.param)
    with torch.no_grad():
        for n, values in enumerate(prior.parameters()):
            values.copy_(0.5 * draws(*values.shape, seed=n))
    return prior.requires_grad_(False)


@pytest.mark.parametrize("change", [None, *BREAKS], ids=range(len(BREAKS) + 1))
def test_the_theorems_cell_holds_and_can_fail(change):
    source = broken(text(CHAPTER), change)
    (cell,) = tagged(source, "theorem:independent-prior")
    check(cell, namespace(source), "independent-prior", change)


def test_the_prior_maps_back_and_forth(prior):
    u = 4 * draws(200, 4)
    assert u.abs().max() > 5, "beyond the last knot"
    torch.testing.assert_close(prior.inverse(prior.f(u)), u, atol=1e-4, rtol=1e-4)
    assert (prior.f(u + 0.1) > prior.f(u)).all()


def test_piecewise_linear_is_what_numpy_interpolates(chapter):
    prior = chapter["SCM"](torch.zeros(1, 1), 5).requires_grad_(False)
    prior.log_slopes.copy_(draws(1, 6))
    knots = np.linspace(-5, 5, 5)
    slopes = prior.log_slopes.exp().numpy()[0]
    steps = np.diff(knots) * slopes[1:-1]
    heights = np.cumsum([0, *steps])
    heights -= np.interp(0, knots, heights)
    u = torch.linspace(-4.9, 4.9, 50)
    found = prior.f(u[:, None])[:, 0]
    np.testing.assert_allclose(found, np.interp(u, knots, heights), atol=1e-4)
    assert prior.f(torch.tensor([[6.0]])).item() == pytest.approx(
        heights[-1] + slopes[-1], rel=1e-4
    )


def test_the_prior_is_the_recursion_along_the_graph(prior):
    noise, A = draws(30, 4, seed=9), (prior.A * prior.graph)
    u = torch.zeros_like(noise)
    for j in range(4):
        u[:, j] = noise[:, j] + u[:, :j] @ A[:j, j]
    torch.testing.assert_close(prior(noise), prior.f(u))


def test_entries_outside_of_the_graph_never_act(chapter):
    prior = chapter["SCM"](chapter["GRAPH"])
    with torch.no_grad():
        prior.A.fill_(3.0)
    prior(draws(5, 6)).sum().backward()
    assert (prior.A.grad[chapter["GRAPH"] == 0] == 0).all()


@pytest.mark.parametrize("k", range(4))
def test_do_sets_keeps_the_noise_and_moves_descendants_only(prior, k):
    noise, value = draws(30, 4, seed=9), draws(30, seed=10)
    z, A = prior(noise), (prior.A * prior.graph)
    found = prior.do(z, k, value)
    torch.testing.assert_close(found[:, k], value, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[:, :k], z[:, :k], atol=1e-4, rtol=1e-4)
    u = prior.inverse(found)
    for j in range(k + 1, 4):
        known = noise[:, j] + u[:, :j] @ A[:j, j]
        torch.testing.assert_close(u[:, j], known, atol=1e-4, rtol=1e-4)
        assert (found[:, j] - z[:, j]).abs().min() > 1e-4
    torch.testing.assert_close(prior.do(z, k, z[:, k]), z, atol=1e-4, rtol=1e-4)


def test_do_without_arrows_changes_one_code(chapter):
    prior = chapter["SCM"](torch.zeros(3, 3)).requires_grad_(False)
    z = draws(7, 3)
    known = z.clone()
    known[:, 1] = 2.0
    torch.testing.assert_close(prior.do(z, 1, torch.full((7,), 2.0)), known)


@pytest.mark.parametrize(("k", "j"), [*itertools.combinations(range(4), 2)])
def test_an_affine_do_moves_a_variable_by_the_exercises_total_effect(chapter, k, j):
    chain = chapter["SCM"](torch.ones(4, 4).triu(1)).requires_grad_(False)
    chain.A.copy_(draws(4, 4, seed=1))
    start = chain(draws(5, 4, seed=2))
    moved = (chain.do(start, k, start[:, k] + 1) - start)[:, j]
    effect = chapter["total_effect"](chain.A * chain.graph, k, j)
    torch.testing.assert_close(moved, effect.expand(5), atol=1e-4, rtol=1e-4)


def test_divergence_is_the_closed_form_of_two_variances(chapter):
    found = chapter["divergence"](torch.tensor([[4.0]]), torch.tensor([[1.0]])).item()
    assert found == pytest.approx(0.5 * (4 - 1 - math.log(4)))


def test_labels_loss_is_the_sum_of_four_cross_entropies(chapter):
    mean, y = draws(9, 12), draws(9, 4, seed=1).sigmoid()
    p = mean[:, :4].sigmoid()
    known = -(y * p.log() + (1 - y) * (1 - p).log()).sum(1).mean()
    torch.testing.assert_close(chapter["told"](nn.Identity(), mean, y), known)
    sure = chapter["told"](nn.Identity(), mean, torch.ones(9, 4))
    torch.testing.assert_close(sure, chapter["told"](nn.Identity(), mean, 0.99 * torch.ones(9, 4)))


def test_draws_of_the_code_have_its_law_and_its_gradient(chapter):
    x = torch.cat([draws(1, 6), torch.tensor([[-9.0, -6, -2, 0, 1, 3]])], 1).requires_grad_()
    z, mean, log_variance = chapter["encoded"](nn.Identity(), x.expand(20_000, 12))
    assert log_variance[0].tolist() == [-6, -6, -2, 0, 1, 1]
    torch.testing.assert_close(z.mean(0), mean[0], atol=0.05, rtol=0)
    torch.testing.assert_close(z.std(0), (log_variance[0] / 2).exp(), atol=0.02, rtol=0.02)
    (slope,) = torch.autograd.grad(z.square().sum(), x)
    assert (slope[0, :6] != 0).all(), "the mean is moved through the draw"
    assert (slope[0, 8:10] > 0).all(), "and so is the variance"


def test_batches_take_labels_from_the_first_rows_only(chapter):
    chapter["x"] = chapter["y"] = torch.arange(50.0)[:, None]
    for labels, most in ((0, 49), (3, 2)):
        chapter["labels"] = labels
        real, known, told = (
            torch.cat(v) for v in zip(*[chapter["batch"]() for _ in range(90)], strict=True)
        )
        assert torch.equal(known, told) and known.max() == most and real.max() == 49


@pytest.mark.parametrize("arrows", [1, 0])
def test_training_reaches_all_parts_and_no_arrow_that_is_not_there(chapter, arrows):
    torch.manual_seed(chapter["seed"])
    fresh = chapter["networks"]()
    graph = chapter["GRAPH"] * arrows
    encoder, generator, prior = chapter["bigan"](graph)
    for new, old in zip((encoder, generator), fresh, strict=True):
        pairs = zip(new.parameters(), old.parameters(), strict=True)
        assert any((a - b).abs().max() > 0 for a, b in pairs)
    assert ((prior.A != 0) == (graph != 0)).all()
    assert (prior.offset != 0).all()


@pytest.mark.parametrize("beta", [1, None])
def test_the_vae_trains_its_generator_unless_it_has_labels_alone(chapter, beta):
    torch.manual_seed(chapter["seed"])
    _, fresh = chapter["networks"]()
    _, generator, prior = chapter["vae"](beta)
    pairs = list(zip(generator.parameters(), fresh.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs) == (beta is None)
    z = draws(5, 6)
    torch.testing.assert_close(prior(z), z)


class Codes(nn.Module):
    """An encoder that knows the factors: samples are their logits, two codes are 0."""

    def forward(self, x):
        return F.pad(x, (0, 8))


class Factors(nn.Module):
    def forward(self, z):
        return z[:, :4].sigmoid()


@pytest.mark.parametrize("arrows", [True, False])
def test_readings_of_the_true_model_and_of_one_without_arrows(chapter, arrows):
    """Encoder and generator are perfect: the true prior is right, no arrows move nothing."""
    world = chapter["place"]
    _, y, chapter["noise"] = world.draw(4000, random_stream(0))
    chapter |= {"x_test": y.logit(), "y_test": y, "ruler": Factors()}
    prior = chapter["SCM"](chapter["GRAPH"] * arrows).requires_grad_(False)
    prior.A[:2, 2:4] = world.A / world.noise * arrows  # of noise with deviation 1
    if arrows:
        prior.log_slopes[2:4, 0] = math.log(world.noise)
    row = chapter["examine"]((Codes(), nn.Identity(), prior))
    for name in ("encoder", "set against got"):
        assert row[name] == pytest.approx(1, abs=1e-5)
    if arrows:
        assert row["do slope"] == pytest.approx(1, abs=1e-3)
        assert row["correlations"] < 0.1 and row["right signs"] == 4
    else:
        assert abs(row["do slope"]) < 1e-6 and row["right signs"] == 0
        assert row["correlations"] > 0.5


def test_the_encoder_is_judged_by_its_worst_code_and_what_one_gets_by_the_mean(chapter):
    """The third code is noise, and the third factor is made of noise."""
    world = chapter["place"]
    _, y, chapter["noise"] = world.draw(4000, random_stream(0))
    chapter |= {"x_test": y.logit(), "y_test": y}
    keep = torch.tensor([1.0, 1, 0, 1])

    class Worse(Codes):
        def forward(self, x):
            return F.pad(keep * x + (1 - keep) * draws(len(x), 4, seed=3), (0, 8))

    chapter["ruler"] = lambda x: Factors()(keep * x[:, :4] + (1 - keep) * draws(len(x), 4, seed=4))
    prior = chapter["SCM"](torch.zeros(6, 6)).requires_grad_(False)
    row = chapter["examine"]((Worse(), nn.Identity(), prior))
    assert row["encoder"] < 0.01
    assert row["set against got"] == pytest.approx(3 / 4, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("obeys", [True, False])
def test_rows_keep_pictures_after_do_and_of_codes_beside_what_they_set(tmp_path, obeys):
    """A generator that draws the causes that it is told, and one that draws the angle for both."""
    given = {"device": "cpu", "world": "pendulum", "size": 12, "keep_pictures": True}
    space = namespace(text(CHAPTER), out=str(tmp_path), **given)
    world = space["place"] = causal.Pendulum(12)
    space["x_test"], y, space["noise"] = world.draw(30, random_stream(0))

    class Causes(nn.Module):
        def forward(self, z):
            return world.observe(z[:, [0, 1, 2, 3] if obeys else [0, 0, 2, 3]].sigmoid())

    codes = F.pad(y.logit(eps=1e-4), (0, 8))
    prior = space["SCM"](torch.zeros(6, 6))
    space["trained"] = {"one": (lambda x: codes, Causes(), prior)}
    space["ruler"] = lambda x: torch.zeros(len(x), 4)
    (cell,) = tagged(text(CHAPTER), "picture")
    run(cell, space, "picture")
    truth, done, pairs = (
        pictures.from_text(row["pictures"]).int() for row in results.read_metrics(tmp_path)
    )
    assert (truth[:5] != truth[0]).any() and (truth[5:] != truth[5]).any()
    off = (truth - done).abs().amax((1, 2, 3))
    asked, got = pairs.unflatten(0, (5, 2)).unbind(1)
    if obeys:  # but for rounding
        assert off.max() <= 1 and (asked - got).abs().max() <= 1
    else:
        assert (off > 20).sum() >= 8 and ((asked - got).abs().amax((1, 2, 3)) > 20).all()


def test_agreement_is_the_squared_correlation(chapter):
    a, b = draws(60, 3), draws(60, 3, seed=1)
    found = chapter["agreement"](a, b)
    for k in range(3):
        r = torch.corrcoef(torch.stack([a[:, k], b[:, k]]))[0, 1]
        torch.testing.assert_close(found[k], r**2)


def test_the_graph_lets_causes_act_on_effects_only(chapter):
    cause, effect = chapter["GRAPH"].nonzero().T.tolist()
    assert set(zip(cause, effect, strict=True)) == set(itertools.product((0, 1), (2, 3)))
