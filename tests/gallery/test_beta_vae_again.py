"""What `gallery/beta_vae_again` defines: fair Fréchet distances, models side by side, luck."""

import numpy as np
import pytest
import torch
from chapter_cells import broken, check, namespace, tagged, text

from mdlib import losses

CHAPTER = "gallery/beta_vae_again"


def space(**changes):
    return namespace(text(CHAPTER), device="cpu", **changes)


@pytest.fixture(scope="module")
def chapter():
    return space(hidden=16, latent_dim=3, batch_size=8, steps=5)


def test_floor_of_equal_eigenvalues(chapter):
    """Means: 2 D λ / n. Covariances: D (D + 1) λ / 2n. Together D (D + 5) λ / 2n."""
    for D, scale in ((1, 1.0), (4, 2.5), (32, 100 / 32)):
        found = chapter["gaussian_floor"](scale * torch.eye(D), 50)
        assert found == pytest.approx(scale * D * (D + 5) / 100)
        assert chapter["gaussian_floor"](
            100 / D * torch.eye(D), chapter["enough"](D, 3.0)
        ) == pytest.approx(3)


def test_floor_in_any_directions_and_with_dead_features(chapter):
    floor, g = chapter["gaussian_floor"], torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=g, dtype=torch.float64))[0]
    diagonal = torch.diag(torch.tensor([1.0, 3.0, 0.0], dtype=torch.float64))
    by_hand = (3 * 4 + 2 * 3 / 4) / 10  # 3 Σ λ, and twice the one pair of different eigenvalues
    assert floor(turn @ diagonal @ turn.T, 10) == pytest.approx(by_hand)


@pytest.mark.parametrize(
    "change",
    [
        None,
        ("2 * v.sum() + pairs", "v.sum() + pairs"),
        ("pairs.sum() + ", ""),
        ("(v[:, None] + v)", "(v[:, None] * 0.5 + v)"),
    ],
)
def test_the_cell_of_the_floor(change):
    (cell,) = tagged(text(CHAPTER), "floor")
    check(broken(cell, change), space(), "floor", change)


@pytest.mark.parametrize(
    "change",
    [None, ("self.betas[:, None] * kl", "kl"), ("(log_variance / 2)", "log_variance")],
)
def test_the_cell_of_the_packages_loss(change):
    changed = broken(text(CHAPTER), change)
    made = namespace(changed, device="cpu", hidden=16, latent_dim=3)
    images = torch.rand(30, 25, generator=torch.Generator().manual_seed(0))

    class Whole:
        image_shape = 1, 5, 5

    (cell,) = tagged(changed, "same")
    check(cell, made | {"train": images, "whole": Whole}, "same", change)


def test_models_side_by_side_are_models_by_themselves(chapter):
    """The same seed gives the same model, whoever is trained beside it."""
    x = torch.rand(40, 25, generator=torch.Generator().manual_seed(0))
    together = chapter["trained"](x, [0.5, 2.0, 0.5], [4, 9, 8])
    alone = chapter["trained"](x, [2.0], [9])
    for layer, own in zip(together.layers, alone.layers, strict=True):
        torch.testing.assert_close(layer[1:2], own)
        assert not torch.allclose(layer[0], layer[2]), "another seed"
    other = chapter["trained"](x, [1.0], [9])
    assert not torch.allclose(other.layers[0], alone.layers[0]), "another β"


def test_weights_begin_as_torchs_linear_layers_do(chapter):
    made = chapter["BetaVAEs"](64, [1.0], [chapter["draws"](0)])
    shapes = [tuple(layer.shape) for layer in made.layers]
    assert shapes == [(1, 65, 16), (1, 17, 6), (1, 4, 16), (1, 17, 64)]
    for layer in made.layers:
        bound = (layer.shape[1] - 1) ** -0.5
        assert layer.abs().max() <= bound
        assert layer.detach().std().item() == pytest.approx(bound / 3**0.5, rel=0.2)


def test_loss_of_a_decoder_that_knows_nothing(chapter):
    """Logits 0, posteriors N(1, 1): P log 2 + β D / 2."""
    made = chapter["BetaVAEs"](25, [1.0, 4.0], [chapter["draws"](s) for s in (0, 1)])
    with torch.no_grad():
        for layer in made.layers:
            layer.zero_()
        made.layers[1][:, -1, :3] = 1
    found = made.loss(torch.rand(2, 7, 25), torch.randn(2, 7, 3)).tolist()
    kl = losses.gaussian_kl(torch.ones(1, 3), torch.zeros(1, 3)).item()
    assert kl == pytest.approx(1.5)
    assert found == pytest.approx([25 * np.log(2) + 1.5, 25 * np.log(2) + 6], rel=1e-5)


def test_luck(chapter):
    luck = chapter["luck"]
    assert luck([[1, 1], [2, 2], [5, 5]]) == 0, "β decides all"
    assert luck([[0, 2], [2, 0], [1, 1]]) == 1, "the seed decides all"
    assert luck([[3, 3], [3, 3]]) is None
    within, between = 2.0, 18.0  # of [0, 2] and [6, 8]
    assert luck([[0, 2], [6, 8]]) == pytest.approx(within / (within + between - within / 2))


def test_luck_is_unbiased_enough_to_find_a_known_share(chapter):
    rng = np.random.default_rng(0)
    beta, seed = rng.normal(0, 3, (4000, 1)), rng.normal(0, 1, (4000, 3))
    assert chapter["luck"](beta + seed) == pytest.approx(0.1, abs=0.01)


def test_features_tell_classes_and_stay_as_they_are(chapter):
    g = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (300,), generator=g)
    images = 0.2 * torch.rand(300, 9, generator=g)
    images[torch.arange(300), labels] += 0.8
    net, body = chapter["features_of"](images, labels, 3)
    assert body(images).shape == (300, 32) and (body(images) >= 0).all()
    assert (net(images).argmax(1) == labels).float().mean() > 0.95
    assert not any(p.requires_grad for p in net.parameters())


def test_draws_from_the_posteriors_have_their_moments(chapter):
    """Mixture of N(±1, e^−1): variance 1 + e^−1."""
    mean = torch.tensor([[-1.0, 2.0], [1.0, 2.0]])
    z = chapter["elsewhere"](mean, torch.full((2, 2), -1.0), 20000, chapter["draws"](0))
    assert z.mean(0).tolist() == pytest.approx([0, 2], abs=0.03)
    assert z.var(0).tolist() == pytest.approx([1 + np.exp(-1), np.exp(-1)], abs=0.03)
