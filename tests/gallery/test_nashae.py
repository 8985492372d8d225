"""What `gallery/nashae` defines: the game's losses and gradients, the beams, the scores."""

import pytest
import torch
from sklearn.metrics import roc_auc_score

CHAPTER = "gallery/nashae"


@pytest.fixture
def codes():
    return torch.rand(30, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)


@pytest.fixture
def regressors(chapter):
    torch.manual_seed(0)
    return chapter["Regressors"](4)


def test_no_regressor_sees_its_own_dimension(regressors, codes):
    guess = regressors(codes)
    assert guess.shape == codes.shape
    for i in range(4):
        (slope,) = torch.autograd.grad(guess[:, i].sum(), codes, retain_graph=True)
        assert (slope[:, i] == 0).all() and (slope != 0).any(0).sum() == 3


def test_regressors_are_separate_networks(regressors, codes):
    for i in range(4):
        h = codes.detach().clone()
        h[:, i] = 0
        for n in range(3):
            h = torch.nn.functional.selu(h) if n else h
            h = h @ regressors.weights[n][i] + regressors.biases[n][i]
        torch.testing.assert_close(h[:, 0], regressors(codes)[:, i])


def test_losses_are_the_released_ones(chapter, regressors, codes):
    """ae_utils_exp.py of ericyeats/nashae-beamsynthesis at 6a307cf; regressors: its sum."""
    x = torch.randn(30, 7, generator=torch.Generator().manual_seed(1))
    decoded, guess = x.roll(1, 0), regressors(codes)
    released = (
        0.5 * torch.nn.MSELoss()(decoded, x),
        ((codes * guess).mean(0) - codes.mean(0) * guess.mean(0)).sum(),
    )
    found = chapter["autoencoder_loss"](x, decoded, codes, guess, 0.3)
    torch.testing.assert_close(found, 0.7 * released[0] + 0.3 * released[1])
    mean = 0.5 * torch.nn.MSELoss()(guess, codes)
    torch.testing.assert_close(chapter["regressors_loss"](codes, guess), 4 * mean)


def test_the_encoder_is_pushed_through_the_regressors_inputs_only(chapter, regressors, codes):
    x = torch.zeros(30, 7)
    guess = regressors(codes)
    loss = chapter["autoencoder_loss"](x, x, codes, guess, 1.0)
    (found,) = torch.autograd.grad(loss, codes, retain_graph=True)
    weights = (codes - codes.mean(0)).detach() / len(codes)  # ∂Cov / ∂z'
    (through,) = torch.autograd.grad(guess, codes, weights)
    torch.testing.assert_close(found, through)


def test_beams_are_a_grid_of_360(chapter):
    x, v = chapter["beams"]()
    assert x.shape == (360, 1000) and v.amax(0).tolist() == [2, 119]
    different = [len(x[v[:, 0] == f].unique(dim=0)) for f in range(3)]
    assert different == [61, 120, 31]  # a step of the duty cycle may be less than a sample
    torch.testing.assert_close(x.mean(1), 0.2 + 0.005 * v[:, 1], atol=0.021, rtol=0)
    risen = (x.diff(dim=1) == 1).sum(1) + 1
    assert torch.equal(risen, torch.tensor([10, 15, 20])[v[:, 0]])


def test_predictability_is_the_squared_correlation(chapter):
    z, guess = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(2))
    guess[:, 1] = 0.5
    found = chapter["predictability"](z, guess)
    for i in (0, 2):
        r = torch.corrcoef(torch.stack([z[:, i], guess[:, i]]))[0, 1]
        torch.testing.assert_close(found[i], r**2)
    assert found[1] == 0


def test_learned_counts_ranges_above_the_threshold(chapter):
    z = torch.tensor([[0.0, 0.4, 0.5], [0.19, 0.61, 0.5]])
    assert chapter["learned"](z).tolist() == [False, True, False]


def test_tad_of_made_codes(chapter):
    draw = torch.Generator().manual_seed(3)
    z = torch.rand(400, 3, generator=draw)
    attributes = torch.stack(
        [z[:, 0] > 0.5, z[:, 1] < 0.3, torch.rand(400, generator=draw) > 0.5], 1
    )
    value, captured, aurocs = chapter["tad"](z, attributes)
    for a in range(3):
        for i in range(3):
            auroc = roc_auc_score(attributes[:, a], z[:, i])
            assert aurocs[a, i].item() == pytest.approx(max(auroc, 1 - auroc))
    assert captured == 2, "noise is not captured"
    best, second = aurocs.topk(2, dim=1).values.T
    assert value == pytest.approx((best - second)[:2].sum().item())
    copied, _, _ = chapter["tad"](torch.cat([z, z[:, :2]], 1), attributes)
    assert copied == pytest.approx(0), "an attribute in two dimensions counts nothing"
    silent, _, aurocs = chapter["tad"](0.1 * z, attributes)
    assert silent == 0 and (aurocs == 0.5).all()


def test_attributes_are_one_a_value(chapter):
    v = torch.tensor([[0, 2], [1, 0], [1, 1]])
    found = chapter["one_value_each"](v)
    assert found.tolist() == [[True, False, False, False, True], [False, True, True, False, False],
                              [False, True, False, True, False]]  # fmt: skip
