"""What `gallery/correlation_shift` defines: the exact table, pairs with attributes, the game."""

import math

import pytest
import torch
import torch.nn.functional as F
from chapter_cells import draws

CHAPTER = "gallery/correlation_shift"


# --- what is exact


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("unrestricted", [0.9193, 0.8760, 0.8326]),
        ("MI = 0", [0.6981, 0.6497, 0.6013]),
        ("CMI = 0", [0.9091, 0.9091, 0.9091]),
    ],
)
def test_variance_explained(chapter, name, expected):
    B = chapter["predictors"](0.8, 0.1)[name]
    found = [chapter["explained"](B, rho, 0.1) for rho in (0.8, 0, -0.8)]
    assert found == pytest.approx(expected, abs=1e-3)


def test_a_strong_correlation_turned_round_leaves_next_to_nothing(chapter):
    B = chapter["predictors"](0.95, 0.5)
    found = {name: chapter["explained"](B[name], -0.95, 0.5) for name in B}
    assert found["unrestricted"] == pytest.approx(0.0327, abs=1e-3)
    assert found["CMI = 0"] == pytest.approx(2 / 3)


def test_variance_explained_is_that_of_draws(chapter):
    n, noise = 200_000, 0.3
    S, _ = chapter["covariances"](0.6, noise)
    g = draws()
    s = torch.randn(n, 2, generator=g).double() @ torch.linalg.cholesky(S).T
    x = s + math.sqrt(noise) * torch.randn(n, 2, generator=g)
    B = torch.tensor([[0.7, -0.2], [0.1, 0.5]]).double()
    error = (s - x @ B.T).square().mean()
    assert chapter["explained"](B, 0.6, noise) == pytest.approx(1 - error.item(), abs=0.01)


@pytest.mark.parametrize("degrees", [20, 90, 200])
def test_no_other_rotation_of_independent_codes_fits_better(chapter, degrees):
    S, C = chapter["covariances"](0.8, 0.1)
    values, vectors = torch.linalg.eigh(C)
    root = vectors @ torch.diag(values**-0.5) @ vectors.T
    angle = math.radians(degrees)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    W = turn.double() @ root
    assert chapter["information"](W, 0.8, 0.1) < 1e-9
    B = (S @ W.T).diagonal()[:, None] * W
    best = chapter["predictors"](0.8, 0.1)["MI = 0"]
    assert chapter["explained"](B, 0.8, 0.1) < chapter["explained"](best, 0.8, 0.1) - 0.01


def test_information(chapter):
    information, eye = chapter["information"], torch.eye(2).double()
    closed = -0.5 * math.log(1 - (0.8 / 1.1) ** 2)
    assert information(eye, 0.8, 0.1) == pytest.approx(closed)
    assert information(eye, 0.8, 0.1, given=True) == pytest.approx(0, abs=1e-12)
    B = chapter["predictors"](0.8, 0.1)
    assert information(B["MI = 0"], 0.8, 0.1, given=True) > 0.05, "to force one breaks the other"
    assert information(B["unrestricted"], 0.8, 0.1, given=True) > 0.05


# --- pairs


@pytest.fixture
def pool():
    """Images that are their attribute, 0.25 or 0.75 everywhere: three and five."""
    counts = torch.tensor([3, 5])
    brightness = torch.tensor([0.25, 0.75]).repeat_interleave(counts)
    return brightness[:, None, None].expand(8, 28, 28), counts


@pytest.mark.parametrize("correlation", [0.9, 0.0, -0.9])
def test_attributes_have_the_correlation(chapter, pool, correlation):
    images, counts = pool
    s, rows = chapter["choose"](20_000, correlation, counts, draws())
    assert s.float().mean(0).tolist() == pytest.approx([0.5, 0.5], abs=0.015)
    assert torch.corrcoef(s.T.float())[0, 1].item() == pytest.approx(correlation, abs=0.02)
    torch.testing.assert_close(images[rows, 0, 0], 0.25 + 0.5 * s)
    assert rows.unique().tolist() == list(range(8)), "each image has its turn"


def test_pairs_stand_side_by_side_with_blank_patches(chapter, pool):
    images, counts = pool
    s, rows = chapter["choose"](200, 0.5, counts, draws())
    x = chapter["drawn"](images[rows], draws(1)).view(200, 28, 2, 28)
    brightest = x.amax((1, 3))
    torch.testing.assert_close(brightest, 0.25 + 0.5 * s)
    patches = (
        x.reshape(200, 7, 4, 14, 4) / brightest.repeat_interleave(7, 1)[:, None, None, :, None]
    )
    assert ((patches == 0) | (patches == 1)).all()
    assert torch.equal(patches.amax((2, 4)), patches.amin((2, 4))), "all of a patch, or none"
    assert (patches == 0).float().mean().item() == pytest.approx(0.6, abs=0.02)


# --- the game


def test_dealt_is_a_permutation_within_groups(chapter):
    group = torch.randint(3, (500,), generator=draws())
    partner = chapter["dealt"](group, draws(1))
    assert torch.equal(partner.sort().values, torch.arange(500))
    assert torch.equal(group[partner], group)
    assert (partner != torch.arange(500)).float().mean() > 0.9


@pytest.mark.parametrize(("kind", "critics"), [("CMI = 0", 2), ("MI = 0", 1)])
def test_a_round_deals_one_block_anew(chapter, kind, critics):
    z, s = torch.randn(400, 10, generator=draws()), torch.randint(2, (400, 2), generator=draws(1))
    played = list(chapter["rounds"](z, s, kind, draws(2)))
    assert len(played) == critics
    for k, (real, fake) in enumerate(played):
        own, other = (slice(5 * j, 5 * j + 5) for j in (k, 1 - k))
        torch.testing.assert_close(real[:, :10], z)
        assert torch.equal(fake[:, other], z[:, other])
        assert torch.equal(fake[:, 10:], real[:, 10:])
        group = s[:, k] if kind == "CMI = 0" else torch.zeros(400)
        assert torch.equal(real[:, 10:].argmax(1), group.long())
        for value in group.unique():
            for codes in (real, fake):  # the same codes, in another order
                block = codes[group == value][:, own]
                torch.testing.assert_close(
                    block.sort(0).values, z[group == value][:, own].sort(0).values
                )
        assert (real[:, own] != fake[:, own]).float().mean() > 0.9


def test_critic_loss_is_cross_entropy_and_the_encoders_has_labels_exchanged(chapter):
    real, fake = torch.randn(2, 50, 12, generator=draws())
    torch.manual_seed(0)
    critic = chapter["Critic"]()
    logits = critic(torch.cat([real, fake]))
    labels = torch.cat([torch.ones(50, 1), torch.zeros(50, 1)])
    expected = F.binary_cross_entropy_with_logits(logits, labels)
    torch.testing.assert_close(chapter["critic_loss"](critic, real, fake), expected)
    exchanged = F.binary_cross_entropy_with_logits(logits, 1 - labels)
    torch.testing.assert_close(chapter["critic_loss"](critic, fake, real), exchanged)


def test_a_step_of_the_game_trains_critics_and_leaves_codes_a_gradient(chapter):
    z = torch.randn(64, 10, generator=draws(), requires_grad=True)
    s = torch.randint(2, (64, 2), generator=draws(1))
    torch.manual_seed(0)
    critics = torch.nn.ModuleList(chapter["Critic"]() for _ in range(2))
    before = [p.clone() for p in critics.parameters()]
    optimiser = torch.optim.Adam(critics.parameters(), 1e-3)
    chapter["game"](z, s, "CMI = 0", critics, optimiser, draws(2)).backward()
    moved = [not torch.equal(a, b) for a, b in zip(before, critics.parameters(), strict=True)]
    assert all(moved)
    assert z.grad.abs().sum(0).gt(0).all()


@pytest.fixture
def played(chapter):
    """Codes whose blocks share a secret, critics that have learned to see it, their optimiser."""
    secret = torch.randn(256, 1, generator=draws())
    z = secret + 0.3 * torch.randn(256, 10, generator=draws(1))
    s = torch.randint(2, (256, 2), generator=draws(2))
    torch.manual_seed(0)
    critics = torch.nn.ModuleList(chapter["Critic"]() for _ in range(2))
    optimiser = torch.optim.Adam(critics.parameters(), 1e-2)
    for step in range(40):
        chapter["game"](z, s, "CMI = 0", critics, optimiser, draws(step))
    return z, s, critics, torch.optim.SGD(critics.parameters(), 0.0)  # they learn no more


def test_the_encoder_is_paid_for_what_critics_take_for_the_other(chapter, played):
    """Codes that follow the game's gradient become harder to tell from those dealt anew."""
    z, s, critics, still = played

    def told(codes):
        codes = (codes - codes.mean(0)) / codes.std(0)
        pairs = chapter["rounds"](codes, s, "CMI = 0", draws(99))
        losses = [chapter["critic_loss"](c, *pair) for c, pair in zip(critics, pairs, strict=True)]
        return sum(losses).item() / 2

    assert told(z) < math.log(2) - 0.1, "the critics see the secret"
    moved = z.clone().requires_grad_()
    chapter["game"](moved, s, "CMI = 0", critics, still, draws(99)).backward()
    after = told((moved - 5 * moved.grad).detach())
    assert after > told(z)


def test_to_shrink_codes_changes_nothing_in_the_game(chapter, played):
    z, s, critics, still = played
    whole, shrunk = (
        chapter["game"](codes, s, "CMI = 0", critics, still, draws(99))
        for codes in (z, 0.01 * z + 3)
    )
    torch.testing.assert_close(whole, shrunk, rtol=1e-3, atol=1e-3)
