"""gallery/causal_prior: the causal prior and its do() against hand-made ones, the two worlds, the
readings of codes whose answer is known, and the theorem's cell with its broken twins."""

import math

import networkx as nx
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from chapter_cells import namespace, run, tagged, text
from torch import nn

CHAPTER = "gallery/causal_prior"
SPREAD = "return spread.T @ torch.diag(std**2) @ spread"
BREAKS = [
    ("return 0.5 * (ratio.trace()", "return 1.0 * (ratio.trace()"),
    (SPREAD, "return spread @ torch.diag(std**2) @ spread.T"),
    (SPREAD, "return spread.T @ torch.diag(std) @ spread"),
    ("ratio = torch.linalg.solve(other, cov)", "ratio = torch.linalg.solve(cov, other)"),
    ("    noise = 0.4\n", "    noise = 0.5\n"),
]


@pytest.fixture(scope="module")
def chapter():
    space = namespace(text(CHAPTER), device="cpu", steps=2, batch_size=8, size=16)
    space["GRAPH"][:2, 2:4] = 1  # of the chapter's text only names are defined, not filled
    return space


@pytest.fixture
def world(chapter, monkeypatch):
    """The simulation, as the place in which the chapter's functions are."""
    monkeypatch.setitem(chapter, "place", chapter["Simulation"]())
    return chapter["place"]


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=[0, 7])
def prior(chapter, request):
    """Affine and piecewise linear, with arrows of all lengths."""
    prior = chapter["SCM"](torch.ones(4, 4).triu(1), request.param)
    with torch.no_grad():
        for n, values in enumerate(prior.parameters()):
            values.copy_(0.5 * draws(*values.shape, seed=n))
    return prior.requires_grad_(False)


@pytest.mark.parametrize("change", [None, *BREAKS], ids=range(len(BREAKS) + 1))
def test_the_theorems_cell_holds_and_can_fail(change):
    source = text(CHAPTER)
    (cell,) = tagged(source, "theorem:independent-prior")
    if change is None:
        run(cell, namespace(source), "independent-prior")
        return
    assert source.count(change[0]) == 1, change
    with pytest.raises(AssertionError):
        run(cell, namespace(source.replace(*change)), "independent-prior")


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


@pytest.mark.parametrize("name", ["Simulation", "Pendulum"])
def test_worlds_have_factors_in_range_and_signs_as_said(chapter, monkeypatch, name):
    world = chapter[name]()
    monkeypatch.setitem(chapter, "place", world)
    y, noise = chapter["draw"](world, 500, 0.0, torch.Generator().manual_seed(0))
    assert y.min() >= 0 and y.max() <= 1 and world.observe(y).shape[0] == 500
    torch.testing.assert_close(chapter["after_do"](y, noise, 0, y[:, 0]), y)
    for k in range(2):
        low, high = (chapter["after_do"](y, noise, k, torch.full((500,), v)) for v in (0.4, 0.6))
        assert torch.equal(low[:, 1 - k], y[:, 1 - k])
        assert torch.equal((high - low)[:, 2:].mean(0).sign(), world.A[k].sign().float())
    together, _ = chapter["draw"](world, 4000, 0.8, torch.Generator().manual_seed(0))
    apart, _ = chapter["draw"](world, 4000, 0.0, torch.Generator().manual_seed(0))
    assert torch.corrcoef(together[:, :2].T)[0, 1] > 0.7
    assert torch.corrcoef(apart[:, :2].T)[0, 1].abs() < 0.05
    # each factor by itself is the same with confounding and without
    torch.testing.assert_close(together[:, 1].mean(), apart[:, 1].mean(), atol=0.03, rtol=0)


def test_the_simulation_is_the_linear_model_of_the_theorem(chapter, world):
    y, _ = chapter["draw"](world, 200_000, 0.0, torch.Generator().manual_seed(1))
    A = torch.zeros(4, 4)
    A[:2, 2:] = world.A
    known = chapter["covariance"](A, torch.tensor([1.0, 1.0, 0.4, 0.4]))
    torch.testing.assert_close(torch.cov(y.logit().T), known, atol=0.02, rtol=0)


def test_divergence_is_the_closed_form_of_two_variances(chapter):
    found = chapter["divergence"](torch.tensor([[4.0]]), torch.tensor([[1.0]])).item()
    assert found == pytest.approx(0.5 * (4 - 1 - math.log(4)))


def test_labels_loss_is_cross_entropy_of_the_first_four_means(chapter):
    mean, y = draws(9, 6), draws(9, 4, seed=1).sigmoid()
    p = mean[:, :4].sigmoid()
    known = -(y * p.log() + (1 - y) * (1 - p).log()).mean()
    torch.testing.assert_close(chapter["told"](mean, y), known)


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
    x, y = torch.arange(50.0)[:, None], torch.arange(50.0)[:, None]
    for real, known, told in chapter["batches"](x, y):
        assert torch.equal(real, known) and torch.equal(known, told)
    space = namespace(text(CHAPTER), device="cpu", steps=20, labels=3)
    seen = [(real.max(), known.max(), told) for real, known, told in space["batches"](x, y)]
    assert max(known for _, known, _ in seen) <= 2 and max(real for real, _, _ in seen) > 2
    assert all(told.max() <= 2 for _, _, told in seen)


@pytest.mark.parametrize("arrows", [1, 0])
def test_training_reaches_all_parts_and_no_arrow_that_is_not_there(chapter, world, arrows):
    y, _ = chapter["draw"](world, 64, 0.0, torch.Generator().manual_seed(0))
    torch.manual_seed(chapter["seed"])
    fresh = chapter["networks"](12)
    graph = chapter["GRAPH"] * arrows
    encoder, generator, prior = chapter["bigan"](world.observe(y), y, graph)
    for new, old in zip((encoder, generator), fresh, strict=True):
        pairs = zip(new.parameters(), old.parameters(), strict=True)
        assert any((a - b).abs().max() > 0 for a, b in pairs)
    assert ((prior.A != 0) == (graph != 0)).all()
    assert (prior.offset != 0).all()


@pytest.mark.parametrize("beta", [1, None])
def test_the_vae_trains_its_generator_unless_it_has_labels_alone(chapter, world, beta):
    y, _ = chapter["draw"](world, 64, 0.0, torch.Generator().manual_seed(0))
    torch.manual_seed(chapter["seed"])
    _, fresh = chapter["networks"](12)
    _, generator, prior = chapter["vae"](world.observe(y), y, beta)
    pairs = list(zip(generator.parameters(), fresh.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs) == (beta is None)
    z = draws(5, 6)
    torch.testing.assert_close(prior(z), z)


def test_the_ruler_learns_to_read(chapter, world):
    y, _ = chapter["draw"](world, 2000, 0.0, torch.Generator().manual_seed(0))
    measure = chapter["ruler"](y.logit(), y, steps=300)
    assert chapter["agreement"](measure(y.logit()), y).min() > 0.9


class Codes(nn.Module):
    """An encoder that knows the factors: samples are their logits, two codes are 0."""

    def forward(self, x):
        return F.pad(x, (0, 8))


class Factors(nn.Module):
    def forward(self, z):
        return z[:, :4].sigmoid()


@pytest.mark.parametrize("causal", [True, False])
def test_readings_of_the_true_model_and_of_one_without_arrows(chapter, world, causal):
    """Encoder and generator are perfect: the true prior is right, no arrows move nothing."""
    y, noise = chapter["draw"](world, 4000, 0.0, torch.Generator().manual_seed(0))
    prior = chapter["SCM"](chapter["GRAPH"] * causal).requires_grad_(False)
    prior.A[:2, 2:4] = world.A / world.noise * causal  # of noise with deviation 1
    if causal:
        prior.log_slopes[2:4, 0] = math.log(world.noise)
    model = (Codes(), nn.Identity(), prior)
    row = chapter["examine"](model, Factors(), y.logit(), y, noise)
    assert row["encoder"] == pytest.approx(1) and row["set against got"] == pytest.approx(1)
    if causal:
        assert row["do slope"] == pytest.approx(1, abs=1e-3)
        assert row["lowest do slope"] == pytest.approx(1, abs=1e-3)
        assert row["correlations"] < 0.1 and row["right signs"] == 4
    else:
        assert abs(row["do slope"]) < 1e-6 and row["right signs"] == 0
        assert row["correlations"] > 0.5


def test_agreement_is_the_squared_correlation(chapter):
    a, b = draws(60, 3), draws(60, 3, seed=1)
    found = chapter["agreement"](a, b)
    for k in range(3):
        r = torch.corrcoef(torch.stack([a[:, k], b[:, k]]))[0, 1]
        torch.testing.assert_close(found[k], r**2)


def test_the_picture_shows_the_graph_of_the_prior(chapter):
    (cell,) = [c for c in tagged(text(CHAPTER), "picture") if "DiGraph" in c]
    space = dict(chapter) | {"place": chapter["Pendulum"]()}
    run(cell, space, "picture")
    drawn = nx.to_numpy_array(space["dag"], nodelist=space["place"].names)
    assert (drawn == chapter["GRAPH"][:4, :4].numpy()).all()
