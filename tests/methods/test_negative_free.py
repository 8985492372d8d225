"""BYOL's siblings: each loss from its paper's formula, and that training does not collapse.

Beside the authors' own code they stand in test_conformance.py.
"""

import math

import numpy as np
import pytest
import torch
from method_tools import check_resume, fall, for_digits, train
from torch import nn

from mdlib import data, methods

SHAPE = (1, 8, 8)
NAMES = ("byol", "simsiam", "barlow", "vicreg", "wmse", "directpred")


def make(name, **options):
    settings = {"latent_dim": 6, "arch": "mlp-small", "head_hidden": 16, "head_dim": 5}
    return methods.create(name, image_shape=SHAPE, **settings | options)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_views(images=20, members=2):
    return torch.rand(images, members, *SHAPE, generator=generator())


def projections(method, views):
    """The projections of each view by itself, as NumPy sees them."""
    with torch.no_grad():
        return [method.projector(method.encoder(v)).double().numpy() for v in views.unbind(1)]


def squared_distance(p, t):
    """‖p/|p| − t/|t|‖², row by row."""
    p, t = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (p, t))
    return ((p - t) ** 2).sum(1).mean()


def ordered_pairs(members):
    return [(i, j) for i in range(members) for j in range(members) if i != j]


# --- each loss, from its formula --------------------------------------------------------------


@pytest.mark.parametrize("members", [2, 3])
def test_barlow_is_the_papers_sum_over_the_correlation_matrix(members):
    method, views = make("barlow", redundancy_weight=0.02), random_views(members=members)
    z, values = projections(method, views), []
    for i, j in ordered_pairs(members):
        a, b = ((x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) for x in (z[i], z[j]))
        c, total = a.T @ b / len(a), 0.0
        for d in range(5):
            for e in range(5):
                total += (1 - c[d, e]) ** 2 if d == e else 0.02 * c[d, e] ** 2
        values.append(total)
    assert method.loss(views)[0].item() == pytest.approx(np.mean(values), rel=1e-4)


@pytest.mark.parametrize("members", [2, 3])
def test_vicreg_is_the_papers_weighted_sum(members):
    method, views = make("vicreg"), random_views(members=members)
    z, values = projections(method, views), []

    def variance(x):
        return np.mean([max(0, 1 - math.sqrt(x[:, d].var(ddof=1) + 1e-4)) for d in range(5)])

    def covariance(x):
        c = np.cov(x, rowvar=False)
        return (np.sum(c**2) - np.sum(np.diag(c) ** 2)) / 5

    for i, j in ordered_pairs(members):
        invariance = np.mean((z[i] - z[j]) ** 2)
        spread = (variance(z[i]) + variance(z[j])) / 2
        values.append(25 * invariance + 25 * spread + covariance(z[i]) + covariance(z[j]))
    total, terms = method.loss(views)
    assert total.item() == pytest.approx(np.mean(values), rel=1e-4)
    assert list(terms) == ["invariance", "variance", "covariance"]


@pytest.mark.parametrize("members", [2, 3])
def test_wmse_is_the_distance_of_whitened_views(members):
    method, views = make("wmse", part=128), random_views(members=members)
    white = []
    for z in projections(method, views):
        inverse = np.linalg.inv(np.linalg.cholesky(np.cov(z, rowvar=False)))
        white.append((z - z.mean(0)) @ inverse.T)
        np.testing.assert_allclose(np.cov(white[-1], rowvar=False), np.eye(5), atol=1e-8)
    expected = np.mean([squared_distance(white[i], white[j]) for i, j in ordered_pairs(members)])
    assert method.loss(views)[0].item() == pytest.approx(expected, rel=1e-3)


def test_wmse_whitens_each_part_of_a_large_batch_by_itself():
    method = make("wmse", part=10)
    for size, parts in [(9, [9]), (20, [10, 10]), (29, [15, 14])]:
        z = torch.randn(size, 5, generator=generator()) * 3 + 1
        for part in method.whiten(z).split(parts):
            np.testing.assert_allclose(part.mean(0), np.zeros(5), atol=1e-5)
            np.testing.assert_allclose(np.cov(part.numpy(), rowvar=False), np.eye(5), atol=1e-4)


def test_wmse_refuses_a_batch_that_it_cannot_whiten():
    with pytest.raises(ValueError, match=r"batch_size=5: WMSE .* it needs 6 or more, not 5"):
        make("wmse").loss(random_views(images=5))
    assert make("wmse", shrinkage=0.1).loss(random_views(images=5))[0].isfinite()


@pytest.mark.parametrize("members", [2, 3])
def test_simsiam_is_the_distance_to_the_other_views_projection(members):
    method, views = make("simsiam"), random_views(members=members)
    z = projections(method, views)
    np.testing.assert_allclose([x.std() for x in z], 1, atol=1e-2)  # the batch norm at its end
    with torch.no_grad():
        p = [method.predictor(torch.tensor(x, dtype=torch.float32)).numpy() for x in z]
    expected = np.mean([squared_distance(p[i], z[j]) for i, j in ordered_pairs(members)])
    assert method.loss(views)[0].item() == pytest.approx(expected, rel=1e-4)


def gradients(total, method):
    return torch.cat([g.flatten() for g in torch.autograd.grad(total, [*method.parameters()])])


def test_simsiam_sends_no_gradient_into_its_targets():
    method, views = make("simsiam"), random_views()

    def loss(constant):
        z = [method.projector(method.encoder(v)) for v in views.unbind(1)]
        targets = [t.clone().detach() for t in z] if constant else z
        p = [method.predictor(x) for x in z]
        cosine = nn.functional.cosine_similarity
        return 2 - (cosine(p[0], targets[1]) + cosine(p[1], targets[0])).mean()

    actual = gradients(method.loss(views)[0], method)
    torch.testing.assert_close(actual, gradients(loss(constant=True), method))
    other = gradients(loss(constant=False), method)
    assert (actual - other).norm() > 0.1 * actual.norm()


def test_negative_free_methods_need_two_views():
    for name in NAMES:
        with pytest.raises(ValueError, match="compares views of an image: it needs 2 or more"):
            make(name).loss(random_views(members=1))


# --- DirectPred -------------------------------------------------------------------------------


def test_directpred_sets_its_predictor_from_what_passed_through():
    method, views = make("directpred", memory=0.3, floor=0.1), random_views(members=3)
    assert torch.equal(method.predictor.weight, torch.eye(5))
    f = np.zeros((5, 5))
    for step in range(3):
        z = np.concatenate(projections(method, views + 0.1 * step))
        method.loss(views + 0.1 * step)[0].backward()
        f = 0.3 * f + 0.7 * z.T @ z / len(z)
        assert all(p.grad is None for p in method.predictor.parameters())
        method.after_step(step, 10)
        np.testing.assert_allclose(method.correlation, f, rtol=1e-4, atol=1e-6)
        w, s = method.predictor.weight.numpy(), np.linalg.eigvalsh(f)
        np.testing.assert_allclose(np.linalg.eigvalsh(w), np.sqrt(s / s.max()) + 0.1, atol=1e-3)
        np.testing.assert_allclose(w @ f, f @ w, atol=1e-4 * np.abs(f).max())


def test_directpred_predicts_with_that_matrix_and_only_training_counts():
    method, views = make("directpred"), random_views()
    method.loss(views)
    method.after_step(0, 10)
    w = method.predictor.weight.double().numpy()
    z = projections(method, views)
    with torch.no_grad():
        t = [method.target_projector(method.target_encoder(v)).numpy() for v in views.unbind(1)]
    expected = np.mean([squared_distance(z[i] @ w.T, t[j]) for i, j in ordered_pairs(2)])
    assert method.loss(views)[0].item() == pytest.approx(expected, rel=1e-4)
    before = method.correlation.clone()
    method.eval()
    method.loss(views)
    assert torch.equal(method.correlation, before)


# --- in training ------------------------------------------------------------------------------


def spread(method):
    """√dim × the mean std of normalised projections: 1 all over the sphere, 0 at one point."""
    with torch.no_grad():
        codes = method.encode(data.load("digits").images[:500])
        z = nn.functional.normalize(method.eval().projector(codes), dim=1)
    return z.std(0).mean().item() * z.shape[1] ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_training_lowers_the_loss_and_does_not_collapse(name):
    method = for_digits(name, head_dim=32)
    first, last = fall(train(method))
    assert last < 0.95 * first
    assert spread(method) > 0.5


def test_the_gauge_sees_byol_collapse_without_predictor_and_slow_copy():
    method = for_digits("byol", head_dim=32, momentum=0.0)
    method.predictor = nn.Identity()
    assert train(method).loss.iloc[-1] < 0.05
    assert spread(method) < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_stopped_and_resumed_is_never_stopped(name, tmp_path):
    check_resume(name, tmp_path / "a.pt", head_hidden=8, head_dim=4)


# --- batch norm, and a predictor of its own pace --------------------------------------------------


@pytest.mark.parametrize("name", [*NAMES, "ddcl", "augself", "partitioned_byol"])
def test_batch_norm_sees_one_view_of_each_image_at_a_time(name):
    """An encoder with batch norm: of the first views it makes what it makes of them alone."""
    method = methods.create(
        name, image_shape=(1, 16, 16), latent_dim=6, arch="resnet", head_hidden=16, head_dim=5
    )
    views = torch.rand(8, 2, 1, 16, 16, generator=generator())
    views[:, 1] *= 0.2  # the two would have other statistics together
    codes = method.codes(views)
    for j, code in enumerate(codes):
        torch.testing.assert_close(code, method.encoder(views[:, j]))
    together = method.encoder(views.flatten(0, 1)).unflatten(0, (8, 2))[:, 0]
    assert not torch.allclose(codes[0], together, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["simsiam", "ddcl"])
def test_the_predictors_rate_may_stay_while_all_else_decays(name):
    plain, fixed = make(name), make(name, fix_predictor_lr=True)
    assert [len(g) for g in plain.parameter_groups()] == [1]
    rest, own = fixed.parameter_groups()
    assert own["schedule"] == "constant" and rest.keys() == {"params"}
    predictors = [fixed.predictor] + ([fixed.style_predictor] if name == "ddcl" else [])
    expected = {id(p) for m in predictors for p in m.parameters()}
    assert {id(p) for p in own["params"]} == expected
    everything = {id(p) for p in fixed.parameters() if p.requires_grad}
    assert {id(p) for p in rest["params"]} == everything - expected
    first, last = fall(train(for_digits(name, fix_predictor_lr=True)))
    assert last < first


def test_no_weights_follow_simsiams_last_batch_norm():
    assert not [*make("simsiam").projector[-1].parameters()]


@pytest.mark.parametrize("name", ["byol", "directpred", "augself", "partitioned_byol", "moco"])
def test_slow_copies_begin_as_what_they_follow_and_see_one_view_at_a_time(name):
    options = {"style_term": "attract"} if name == "partitioned_byol" else {}
    options |= {"latent_dim": 6, "arch": "resnet", "head_hidden": 16, "head_dim": 5}
    method = methods.create(name, image_shape=(1, 16, 16), **options)
    if name == "moco":
        pairs = [(method.encoder, method.key_encoder), (method.projector, method.key_projector)]
    else:
        pairs = method.averaged()
    for fast, slow in pairs:
        assert all(map(torch.equal, fast.parameters(), slow.parameters()))
        assert not any(p.requires_grad for p in slow.parameters())
    views = torch.rand(8, 2, 1, 16, 16, generator=generator())
    views[:, 1] *= 0.2  # the two would have other statistics together
    if name == "moco":
        found = method.keys(views)
        expected = [method.key_projector(method.key_encoder(views[:, j])) for j in (0, 1)]
        expected = [nn.functional.normalize(z, dim=1) for z in expected]
    else:
        found = method.target_codes(views)
        expected = [method.target_encoder(views[:, j]) for j in (0, 1)]
    torch.testing.assert_close(found, expected)
